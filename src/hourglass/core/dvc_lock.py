"""Comparison of the full content of files with dvc.lock.

DVC itself accepts a file if its time and size are unchanged.
"""

import hashlib
import json
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from hourglass.core.atomic import load_plain_yaml
from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import counted

LOCK = Path("dvc.lock")
STAGE_KEYS = {"cmd", "deps", "params", "outs"}
OBJECTS = Path(".dvc/cache/files/md5")  # DVC's default cache, with the listings of folders
CHECKOUT = f"`git checkout {LOCK}` restores the last committed one"


@dataclass(frozen=True)
class Output:
    """One file or folder that a stage wrote, as recorded in dvc.lock."""

    path: Path
    md5: str  # of the file, or of the folder's listing with ".dir" appended
    size: int  # total, in bytes
    nfiles: int | None  # number of files; None unless it is a folder
    stage: str

    def differences(self, corrupt: Container[Path] = ()) -> dict[Path, str]:
        """Return an error message, with a remedy, for every file that differs from dvc.lock.

        `corrupt` holds the files known to differ from their own checksums. All others may also
        come from a stage that ran with other settings.
        """
        return {
            path: self._sentence(path, path in corrupt) for path in self._changed()
        } or self.wrong_size()

    def wrong_size(self) -> dict[Path, str]:
        """Return an error message if dvc.lock has the right digest but a wrong size or count."""
        is_folder = self.md5.endswith(".dir")
        paths = self.path.rglob("*") if is_folder else [self.path]
        sizes = [path.stat().st_size for path in paths if path.is_file()]
        is_right = (self.size, self.nfiles) == (sum(sizes), len(sizes) if is_folder else None)
        if is_right or not sizes or digest(self.path) != self.md5:
            return {}
        size = f"{counted(sum(sizes), 'byte')} in {counted(len(sizes), 'file')}"
        sentence = f"{LOCK} gives a wrong size for {self.path.as_posix()}, which has {size}"
        return {LOCK: f"{sentence}; {CHECKOUT}."}

    def _changed(self) -> list[Path]:
        if digest(self.path) == self.md5:
            return []
        present, recorded = listing(self.path), _cached_listing(self.md5)
        if not (present and recorded):  # a file, or a folder whose listing is not in DVC's cache
            return [self.path]
        names = sorted(present.keys() | recorded.keys())
        return [self.path / name for name in names if present.get(name) != recorded.get(name)]

    def _sentence(self, path: Path, is_corrupt: bool) -> str:
        state = f"differs from {LOCK}" if path.exists() else "is missing"
        state = "is corrupt: its checksum does not match" if is_corrupt else state
        return (
            f"{path.as_posix()} {state}; for the recorded output, remove it and run `dvc checkout "
            f"{self.path.as_posix()}`; for one with the current settings, run `dvc repro --force "
            f"--single-item {self.stage}`."
        )


def outputs(kind: Literal["outs", "deps"] = "outs") -> list[Output]:
    """Return all outputs, or dependencies, in dvc.lock; [] if that file is missing.

    Raises a UserError if dvc.lock is malformed.
    """
    if not LOCK.exists():
        return []
    try:
        stages = load_plain_yaml(LOCK.read_bytes())["stages"]
        unknown = {key for stage in stages.values() for key in stage} - STAGE_KEYS
        if unknown:
            raise ValueError(f"{min(unknown)!r:.40} is not a key of a stage")
        return [
            _output(name, entry) for name, stage in stages.items() for entry in stage.get(kind, [])
        ]
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{LOCK} is corrupt ({one_line(error)}); {CHECKOUT}.") from None


def _output(stage: str, entry: dict[str, Any]) -> Output:
    output = Output(
        Path(entry["path"]), entry["md5"], int(entry["size"]), entry.get("nfiles"), stage
    )
    hexadecimal = output.md5.removesuffix(".dir")
    is_md5 = len(bytes.fromhex(hexadecimal)) == 16 and hexadecimal == hexadecimal.lower()
    if entry["hash"] != "md5" or not is_md5:
        raise ValueError(f"{output.md5!r:.40} of {output.path} is not an MD5")
    return output


def digest(path: Path) -> str:
    """Return DVC's digest of a file or folder: its MD5, or that of its listing; "" if missing."""
    if not path.is_dir():
        return md5(path)
    files = listing(path)
    rows = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    text = json.dumps(rows, sort_keys=True).encode()
    return f"{hashlib.md5(text, usedforsecurity=False).hexdigest()}.dir"


def md5(path: Path) -> str:
    """Return the MD5 of a file, "" if there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return ""


def listing(folder: Path) -> dict[str, str]:
    """Return the MD5 of every file below a folder, by its relative path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): md5(path) for path in files}


def _cached_listing(name: str) -> dict[str, str]:
    """Return a folder's listing from DVC's cache; {} if it is missing or corrupt there."""
    path = OBJECTS / name[:2] / name[2:]
    if f"{md5(path)}.dir" != name:
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {row["relpath"]: row["md5"] for row in rows}


def verify_outputs(folders: Iterable[Path]) -> None:
    """Raise a UserError if a file below `folders` differs from dvc.lock.

    Call it only in a stage that DVC runs: dvc.lock then describes the outputs of all preceding
    stages.
    """
    wanted = tuple(folders)
    selected = (out for out in outputs() if any(out.path.is_relative_to(top) for top in wanted))
    for output in selected:
        for sentence in output.differences().values():
            raise UserError(sentence)
