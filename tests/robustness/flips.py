"""Single flipped bits in the files of a workspace, and the readers that notice them.

The workspace is a folder after `dvc repro`. Two kinds of fault are injected: rot, which keeps the
modification time, so that DVC does not see it, and changes, which any program makes.
"""

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

from hourglass.cli.verify import cache_objects, verify
from hourglass.core import dvc_lock
from hourglass.core.checksums import CorruptFileError, read_with_checksum
from hourglass.core.dvc_lock import verify_outputs
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
    """Let `tries` files rot, and change a file of each kind; return one row per flipped bit.

    Columns: artefact, fault ("rot", "change"), tries (1), noticed_by (names of the readers that
    noticed it), silent. The workspace is left unchanged.
    """
    rng = random.Random(seed)
    with chdir(workspace):
        by_kind: dict[str, list[Target]] = {}
        for target in targets():
            by_kind.setdefault(target.kind, []).append(target)
        kinds = sorted(by_kind)
        rotten = [kinds[i % len(kinds)] for i in range(tries)]
        changed = [kind for kind in kinds if kind not in OUTSIDE_DVC]
        rows = [_flip(rng.choice(by_kind[kind]), rng, rot=True) for kind in rotten]
        return rows + [_flip(rng.choice(by_kind[kind]), rng, rot=False) for kind in changed]


def _flip(target: Target, rng: random.Random, rot: bool) -> dict[str, Any]:
    readers: dict[str, Read] = {"verify": lambda: verify(cache=target.kind == "DVC cache")}
    if target.read:
        readers["its reader"] = target.read
    if not rot or target.kind == "dvc.lock":  # whose hash DVC does not cache
        readers["dvc status"] = _dvc_status
    with flipped(target.path, rng, rot):
        noticed_by = [name for name, read in readers.items() if _notices(read)]
    fault = {"artefact": target.kind, "fault": "rot" if rot else "change", "tries": 1}
    return {**fault, "noticed_by": noticed_by, "silent": not noticed_by}


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
            read = partial(verify_outputs, [Path(*file.parts[:2])])
            yield Target(kind, file, read if file.parts[0] == "runs" else None)


def _read_splits(folder: Path) -> None:
    prepared = Prepared.open(folder)
    for split in SPLITS:
        prepared.split(split)
