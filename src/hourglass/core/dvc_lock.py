"""What dvc.lock says of the pipeline's files, checked by reading every byte.

DVC itself takes a file whose time and size are as it noted them for unchanged.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from hourglass.core.atomic import load_plain_yaml
from hourglass.core.errors import UserError, one_line

LOCK = Path("dvc.lock")
KEYS = {"cmd", "deps", "params", "outs"}  # of a stage there
OBJECTS = Path(".dvc/cache/files/md5")  # where DVC keeps listings of folders, by default


@dataclass(frozen=True)
class Output:
    """One file or folder that a stage wrote, as dvc.lock has it."""

    path: Path
    md5: str  # of a file; of a folder's listing, and ".dir" after it
    size: int  # bytes, of all files together
    nfiles: int | None  # of a folder
    stage: str

    def damage(self) -> dict[Path, str]:
        """Return for every file that is another than it was a sentence that says how to mend it."""
        return {path: self._sentence(path) for path in self._changed()} or self.misstated()

    def misstated(self) -> dict[Path, str]:
        """Return a sentence where dvc.lock has the right digest, but another size."""
        folder = self.md5.endswith(".dir")
        files = [file for file in self.path.rglob("*") if file.is_file()] if folder else [self.path]
        sizes = [file.stat().st_size for file in files if file.exists()]
        if (sum(sizes), len(sizes) if folder else None) == (self.size, self.nfiles):
            return {}
        if not sizes or digest(self.path) != self.md5:
            return {}
        sentence = (
            f"{LOCK} says that {self.path.as_posix()} has {self.size:,} bytes, but it has "
            f"{sum(sizes):,}; `git checkout {LOCK}` brings back the one that was committed last."
        )
        return {LOCK: sentence}

    def _changed(self) -> list[Path]:
        if digest(self.path) == self.md5:
            return []
        if not self.md5.endswith(".dir"):
            return [self.path]
        found, written = listing(self.path), _kept(self.md5)
        if written is None or not found:
            return [self.path]
        names = sorted(found.keys() | written.keys())
        return [self.path / name for name in names if found.get(name) != written.get(name)]

    def _sentence(self, path: Path) -> str:
        what = "is not as" if path.exists() else "is missing, as"
        return (
            f"{path.as_posix()} {what} {self.stage} wrote it; remove it and run `dvc checkout "
            f"{self.path.as_posix()}`, or make it again by `dvc repro --force --single-item "
            f"{self.stage}`."
        )


def outputs(kind: Literal["outs", "deps"] = "outs") -> list[Output]:
    """Return all outputs (or dependencies) in dvc.lock, [] without it; a UserError for a bad one."""
    if not LOCK.exists():
        return []
    try:
        stages = load_plain_yaml(LOCK.read_bytes())
        strange = {key for stage in stages["stages"].values() for key in stage} - KEYS
        if strange:
            raise ValueError(f"{min(strange)!r:.40} is no part of a stage")
        found = [
            _output(name, each)
            for name, stage in stages["stages"].items()
            for each in stage.get(kind, [])
        ]
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{LOCK} is damaged ({one_line(error)}); `git checkout {LOCK}` brings back the one "
            "that was committed last."
        ) from None
    return found


def _output(stage: str, entry: dict[str, Any]) -> Output:
    found = Output(
        Path(entry["path"]), entry["md5"], int(entry["size"]), entry.get("nfiles"), stage
    )
    kind, bare = entry["hash"], found.md5.removesuffix(".dir")
    if kind != "md5" or len(bytes.fromhex(bare)) != 16 or bare != bare.lower():
        raise ValueError(f"{found.md5!r:.40} of {found.path} is no MD5")
    return found


def digest(path: Path) -> str:
    """Return what DVC calls a file or folder by: its MD5, or that of its listing; "" for none."""
    if not path.is_dir():
        return md5(path)
    files = listing(path)
    rows = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    text = json.dumps(rows, sort_keys=True).encode()
    return f"{hashlib.md5(text, usedforsecurity=False).hexdigest()}.dir"


def md5(path: Path) -> str:
    """Return the MD5 of a file, by which DVC names it; "" where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return ""


def listing(folder: Path) -> dict[str, str]:
    """Return the MD5 of every file below a folder, by its path there."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): md5(path) for path in files}


def _kept(name: str) -> dict[str, str] | None:
    """Return a folder's listing as DVC keeps it; None where it is not at hand, or damaged."""
    path = OBJECTS / name[:2] / name[2:]
    if f"{md5(path)}.dir" != name:
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {row["relpath"]: row["md5"] for row in rows}


def locked_as_written(folders: Iterable[Path]) -> None:
    """Raise a UserError where a file below `folders` is another than dvc.lock says.

    For a stage that DVC runs, whose lock is that of the stages before it.
    """
    wanted = tuple(folders)
    for each in outputs():
        if any(each.path.is_relative_to(folder) for folder in wanted):
            for sentence in each.damage().values():
                raise UserError(sentence)
