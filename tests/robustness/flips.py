"""Single flipped bits in the files of a workspace, and the readers that notice them.

    python -m tests.robustness.flips WORKSPACE --tries 200

WORKSPACE is a folder after `dvc repro`; every file is restored. Two kinds of fault are injected:
rot, which keeps the modification time, so that DVC does not see it, and changes, which any program
makes. Prints, per kind of file, the number of faults that were noticed by a command or stage that
reads the file, by `hourglass verify`, by `dvc status`, and by none of them.
"""

import argparse
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from hourglass.cli.verify import cache_objects, verify
from hourglass.core import dvc_lock
from hourglass.core.checksums import CorruptFileError, read_with_checksum
from hourglass.core.dvc_lock import locked_as_written
from hourglass.core.errors import UserError
from hourglass.core.paths import SNAPSHOT, Cell
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.detection.detector import FILES, Detector
from hourglass.studies.search.index import Index, UnusableIndexError

Read = Callable[[], object]  # raises one of NOTICED if a file is damaged
NOTICED = (UserError, CorruptFileError, UnusableIndexError)
OUTSIDE_DVC = ("DVC cache", "MLflow model", "search index", "dvc.lock")


@dataclass(frozen=True)
class Target:
    """A file, its kind, and a reader that checks it, if there is one."""

    kind: str
    path: Path
    read: Read | None


def flip_bits(workspace: Path, tries: int = 200, seed: int = 0) -> list[dict[str, Any]]:
    """Flip a bit in `tries` files; return one row per kind of file and fault.

    Columns: artefact, fault ("rot", "change"), tries, by_reader, by_verify, by_dvc (None for rot),
    silent. The workspace is left unchanged.
    """
    rng = random.Random(seed)
    with chdir(workspace):
        by_kind: dict[str, list[Target]] = {}
        for target in targets():
            by_kind.setdefault(target.kind, []).append(target)
        kinds = sorted(by_kind)
        chosen = [rng.choice(by_kind[kinds[i % len(kinds)]]) for i in range(tries)]
        rows = [_try(each, rng, rot=True) for each in tqdm(chosen, "rot", disable=None)]
        outputs = [rng.choice(by_kind[kind]) for kind in kinds if kind not in OUTSIDE_DVC]
        rows += [_try(each, rng, rot=False) for each in tqdm(outputs, "changes", disable=None)]
    table = pd.DataFrame(rows).groupby(["artefact", "fault"], sort=True)
    return json.loads(table.sum(min_count=1).reset_index().to_json(orient="records"))


def _try(target: Target, rng: random.Random, rot: bool) -> dict[str, Any]:
    with flipped(target.path, rng, rot):
        dvc_sees = not rot or target.kind == "dvc.lock"  # DVC does not cache its hash
        by = {
            "by_reader": bool(target.read and _notices(target.read)),
            "by_verify": _notices(lambda: verify(cache=target.kind == "DVC cache")),
            "by_dvc": _notices(_dvc_status) if dvc_sees else None,
        }
    fault = {"artefact": target.kind, "fault": "rot" if rot else "change", "tries": 1}
    return {**fault, **by, "silent": not any(by.values())}


@contextmanager
def flipped(path: Path, rng: random.Random, rot: bool) -> Iterator[None]:
    """Flip a random bit of a file; rot keeps its modification time. Restore it at the end."""
    stat, content = path.stat(), path.read_bytes()
    damaged = bytearray(content)
    damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    times = (stat.st_atime_ns, stat.st_mtime_ns)
    path.chmod(stat.st_mode | 0o200)  # the objects of a cache are read-only
    try:
        path.write_bytes(damaged)
        if rot:
            os.utime(path, ns=times)
        yield
    finally:
        path.write_bytes(content)
        os.utime(path, ns=times)
        path.chmod(stat.st_mode)


def _notices(read: Read) -> bool:
    """Return whether a reader refuses a file in one sentence; any other exception is a fault."""
    try:
        with redirect_stdout(io.StringIO()):
            read()
    except NOTICED as error:
        return bool(str(error)) and "\n" not in str(error)
    return False


def _dvc_status() -> None:
    """Raise a UserError if `dvc status` reports a change or cannot read its files."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode or json.loads(done.stdout):
        raise UserError(f"DVC says {' '.join((done.stdout + done.stderr).split())}")


def targets() -> Iterator[Target]:
    """Yield the files of the working folder, which is a DVC project after `dvc repro`."""
    yield Target("dvc.lock", Path("dvc.lock"), None)
    yield from (Target("DVC cache", path, None) for path in cache_objects())
    for output in dvc_lock.outputs():
        if output.path.exists():
            yield from _output(output.path)
    for folder in Path("mlruns").glob("*/models/*/artifacts/data/*"):
        for name in FILES:
            yield Target("MLflow model", folder / name, partial(Detector.load, folder))
    for card in Path("reports/search").glob("*/index.json"):
        origin = read_with_checksum(card)["origin"]
        for name in ("index.json", "index.safetensors", "index.parquet"):
            read = partial(Index.read, card.parent, origin)
            yield Target("search index", card.parent / name, read)


def _output(path: Path) -> Iterator[Target]:
    """Yield the files of a DVC output, with kinds by name."""
    for file in sorted(each for each in path.rglob("*") if each.is_file()) or [path]:
        if file.is_relative_to("data/prepared"):
            read = partial(_read_splits, Path(*file.parts[:3]))
            yield Target(f"prepared {file.name}", file, read)
        elif file.name in FILES:
            yield Target(file.name, file, partial(Detector.of_cell, Cell(*file.parts[1:3])))
        elif file.name == "thresholds.json":
            yield Target(file.name, file, partial(read_with_checksum, file))
        elif file.is_relative_to(SNAPSHOT):
            yield Target(SNAPSHOT.as_posix(), file, None)
        elif file.parts[0] == "reports":
            yield Target("reports", file, None)
        else:
            names = {"figures": "figures", "tables": "study tables", "references": "references"}
            kind = next((names[part] for part in file.parts if part in names), file.name)
            # As `compare` reads them in a DVC stage.
            read = partial(locked_as_written, [Path(*file.parts[:2])])
            yield Target(kind, file, read if file.parts[0] == "runs" else None)


def _read_splits(folder: Path) -> None:
    prepared = Prepared.open(folder)
    for split in SPLITS:
        prepared.split(split)


def main() -> None:
    """Print the table; exit with status 1 if a fault was accepted silently."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    table = pd.DataFrame(flip_bits(arguments.workspace, arguments.tries, arguments.seed))
    print(table.to_markdown(index=False, floatfmt=".0f", missingval=""))
    silent = int(table["silent"].sum())
    print(f"{int(table['tries'].sum())} flips, {silent} accepted silently")
    sys.exit(bool(silent))


if __name__ == "__main__":
    main()
