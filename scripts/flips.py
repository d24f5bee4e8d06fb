"""Flip single bits of a workspace's files, and see who notices: DVC, a reader, `hourglass verify`.

    python scripts/flips.py WORKSPACE --tries 200

WORKSPACE is a folder after `dvc repro`; every file is put back as it was. Two kinds of faults are
tried: rot, which leaves a file's time as it was, so that DVC does not see it; and changes, which
any program makes. Prints a table: per kind of file how many were noticed by a verb or a stage that
reads it, how many by `hourglass verify`, how many by `dvc status`, and how many by none of them.
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
from hourglass.core.paths import Cell
from hourglass.data.prepared import SPLITS, Prepared
from hourglass.detection.detector import FILES, Detector
from hourglass.studies.search.index import Index, Unusable

Notices = Callable[[], object]  # raises one of NOTICED where something is wrong
NOTICED = (UserError, CorruptFileError, Unusable)
BEYOND_DVC = ("DVC cache", "MLflow model", "search index", "dvc.lock")


@dataclass(frozen=True)
class Target:
    """A file, of what kind it is, and what reads it, if that looks for damage."""

    kind: str
    path: Path
    read: Notices | None


def rows(workspace: Path, tries: int = 200, seed: int = 0) -> list[dict[str, Any]]:
    """Flip a bit of `tries` files, and return a row a kind of file and fault.

    Columns: artefact, fault ("rot", "change"), tries, by_reader, by_verify, by_dvc (of changes
    alone, None else), silent. The workspace is afterwards as it was.
    """
    rng = random.Random(seed)
    with chdir(workspace):
        by_kind: dict[str, list[Target]] = {}
        for target in targets():
            by_kind.setdefault(target.kind, []).append(target)
        kinds = sorted(by_kind)
        chosen = [rng.choice(by_kind[kinds[i % len(kinds)]]) for i in range(tries)]
        found = [_try(each, rng, rot=True) for each in tqdm(chosen, "rot", disable=None)]
        ours = [rng.choice(by_kind[kind]) for kind in kinds if kind not in BEYOND_DVC]
        found += [_try(each, rng, rot=False) for each in tqdm(ours, "changes", disable=None)]
    table = pd.DataFrame(found).groupby(["artefact", "fault"], sort=True)
    return json.loads(table.sum(min_count=1).reset_index().to_json(orient="records"))


def _try(target: Target, rng: random.Random, rot: bool) -> dict[str, Any]:
    with flipped(target.path, rng, rot):
        asks_dvc = not rot or target.kind == "dvc.lock"  # of which DVC keeps no notes
        by = {
            "by_reader": bool(target.read and _notices(target.read)),
            "by_verify": _notices(lambda: verify(cache=target.kind == "DVC cache")),
            "by_dvc": _notices(_dvc_status) if asks_dvc else None,
        }
    fault = {"artefact": target.kind, "fault": "rot" if rot else "change", "tries": 1}
    return {**fault, **by, "silent": not any(by.values())}


@contextmanager
def flipped(path: Path, rng: random.Random, rot: bool) -> Iterator[None]:
    """Flip a random bit of a file, its time kept where it is rot, and put all back afterwards."""
    stat, whole = path.stat(), path.read_bytes()
    place = rng.randrange(len(whole))
    damaged = bytearray(whole)
    damaged[place] ^= 1 << rng.randrange(8)
    times = (stat.st_atime_ns, stat.st_mtime_ns)
    path.chmod(stat.st_mode | 0o200)  # the objects of a cache are read-only
    try:
        path.write_bytes(damaged)
        if rot:
            os.utime(path, ns=times)
        yield
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=times)
        path.chmod(stat.st_mode)


def _notices(action: Notices) -> bool:
    """Return whether an action refuses, in one sentence; whatever else it raises is a fault."""
    try:
        with redirect_stdout(io.StringIO()):
            action()
    except NOTICED as refusal:
        return bool(str(refusal)) and "\n" not in str(refusal)
    return False


def _dvc_status() -> None:
    """Raise a UserError where `dvc status` finds something changed, or cannot read its files."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode or json.loads(done.stdout):
        raise UserError(f"DVC says {' '.join((done.stdout + done.stderr).split())}")


def targets() -> Iterator[Target]:
    """Yield the files of the working folder, which is a DVC project after `dvc repro`."""
    yield Target("dvc.lock", Path("dvc.lock"), None)
    yield from (Target("DVC cache", each, None) for each in cache_objects())
    for output in dvc_lock.outputs():
        if output.path.exists():
            yield from _output(output.path)
    for folder in Path("mlruns").glob("*/models/*/artifacts/data/*"):
        for name in FILES:
            yield Target("MLflow model", folder / name, partial(Detector.load, folder))
    for card in Path("reports/search").glob("*/index.json"):
        origin = read_with_checksum(card)["origin"]
        for name in ("index.json", "index.safetensors", "index.parquet"):
            yield Target(
                "search index", card.parent / name, partial(Index.read, card.parent, origin)
            )


def _output(path: Path) -> Iterator[Target]:
    """Yield the files of an output of DVC's, by what they are called."""
    for file in sorted(each for each in path.rglob("*") if each.is_file()) or [path]:
        if file.is_relative_to("data/prepared"):
            folder = Path(*file.parts[:3])
            yield Target(f"prepared {file.name}", file, partial(_open, folder))
        elif file.name in FILES:
            yield Target(file.name, file, partial(Detector.of_cell, Cell(*file.parts[1:3])))
        elif file.name == "thresholds.json":
            yield Target(file.name, file, partial(read_with_checksum, file))
        elif file.parts[:2] == ("runs", ".snapshot"):
            yield Target("runs/.snapshot", file, None)
        else:
            names = {"figures": "figures", "tables": "study tables", "references": "references"}
            kind = next((names[part] for part in file.parts if part in names), file.name)
            reads: Notices | None = None
            if file.parts[0] == "runs":  # as `compare` does where DVC runs it
                reads = partial(locked_as_written, [Path(*file.parts[:2])])
            yield Target("reports" if file.parts[0] == "reports" else kind, file, reads)


def _open(folder: Path) -> None:
    prepared = Prepared.open(folder)
    for split in SPLITS:
        prepared.split(split)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = pd.DataFrame(rows(arguments.workspace, arguments.tries, arguments.seed))
    print(found.to_markdown(index=False, floatfmt=".0f", missingval=""))
    silent = int(found["silent"].sum())
    print(f"{int(found['tries'].sum())} flips, {silent} accepted silently")
    sys.exit(bool(silent))


if __name__ == "__main__":
    main()
