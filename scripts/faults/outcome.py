"""What a pipeline leaves: the bytes of every output, and the rows of its record.

Two things may differ between two undisturbed runs, and are left out: the name that MLflow gave a
run (`run_id`), and when something was done and how long it took (`timing.json`, four entries of
`training.json`, metrics with `second` in their name).
"""

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stores
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError
from stores import Row

from faults.checkout import Checkout
from hourglass.core.errors import one_line

OUTPUTS = ("runs", "data/prepared", "reports")
LEFT_OUT = ("run_id", "timing.json")
TIMES = ("seconds", "samples_per_second", "started", "ended")  # of training.json
HIDDEN = (".cells", ".gitkeep")  # whose names begin with a point, as those of half a file do


@dataclass(frozen=True)
class Outcome:
    """The outputs of a pipeline by path, each with its digest, and the rows of its record."""

    files: Mapping[str, str]
    rows: Mapping[str, list[Row]]
    unreadable: str = ""  # why the record cannot be read, if it cannot

    @classmethod
    def of(cls, checkout: Checkout) -> "Outcome":
        """Return what is in a checkout now, once nothing runs there."""
        with tempfile.TemporaryDirectory() as folder:
            # A copy: MLflow keeps a connection to whatever file it has once opened.
            copy = Path(folder) / "mlflow.db"
            own = checkout.folder / "mlflow.db"
            with closing(sqlite3.connect(own)) as one, closing(sqlite3.connect(copy)) as to:
                one.backup(to)
            try:
                rows = stores.rows(f"sqlite:///{copy.as_posix()}")
            except (MlflowException, SQLAlchemyError) as error:
                return cls(digests(checkout.folder), {}, one_line(error))
        return cls(digests(checkout.folder), rows)

    def differences(self, other: "Outcome") -> list[str]:
        """Return a sentence for everything in which two outcomes differ."""
        paths = sorted(self.files.keys() | other.files.keys())
        changed = [path for path in paths if self.files.get(path) != other.files.get(path)]
        found = [f"{path} differs." for path in changed]
        if self.unreadable:
            return [*found, f"the record cannot be read ({self.unreadable})."]
        return found + stores.differences(self.rows, other.rows, times=False)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every output, by path; of one whose content is timing, its name."""
    found = {}
    for output in OUTPUTS:
        for path in sorted((folder / output).rglob("*")):
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = _digest(path)
    return found


def half_written(folder: Path, whole: Mapping[str, str]) -> list[str]:
    """Return a sentence for each output that is there and is not as it should be in the end."""
    found = []
    for path, digest in digests(folder).items():
        hidden = any(each.startswith(".") and each not in HIDDEN for each in Path(path).parts)
        if whole.get(path) != digest:
            found.append(f"{path} is {'left over' if hidden else 'half written'}.")
    return found


def _digest(path: Path) -> str:
    if path.name in LEFT_OUT:
        return path.name
    content = path.read_bytes()
    if path.name == "training.json":
        content = json.dumps(_without(TIMES, json.loads(content))).encode()
    return hashlib.sha256(content).hexdigest()


def _without(names: Sequence[str], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON without the entries of these names, at whatever depth."""
    return {
        key: _without(names, value) if isinstance(value, dict) else value
        for key, value in found.items()
        if key not in names
    }
