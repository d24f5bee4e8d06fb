"""What dvc.lock says of the pipeline's files, checked by reading every byte.

DVC itself takes a file whose time and size are as it noted them for unchanged.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hourglass.errors import Refusal, one_line

LOCK = Path("dvc.lock")
OBJECTS = Path(".dvc/cache/files/md5")  # where DVC keeps listings of folders, by default


@dataclass(frozen=True)
class Output:
    """One file or folder that a stage wrote, as dvc.lock has it."""

    path: Path
    md5: str  # of a file; of a folder's listing, and ".dir" after it
    size: int  # bytes, of all files together
    stage: str

    def damage(self) -> dict[Path, str]:
        """Return for every file that is another than it was a sentence that says how to mend it."""
        return {path: self._sentence(path) for path in self._changed()}

    def _changed(self) -> list[Path]:
        files = [self.path] if self.path.is_file() else sorted(self.path.rglob("*"))
        same = sum(file.stat().st_size for file in files if file.is_file()) == self.size
        if not self.md5.endswith(".dir"):
            return [] if md5(self.path) == self.md5 and same else [self.path]
        found = listing(self.path)
        if _digest(found) == self.md5:
            return [] if same else [self.path]
        written = _kept(self.md5)
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


def outputs(lock: Path = LOCK) -> list[Output]:
    """Return all that dvc.lock holds, [] where there is none; a Refusal where it is damaged."""
    if not lock.exists():
        return []
    try:
        # DVC's own format; the pure Python loader would take seconds.
        stages = yaml.load(lock.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        found = [
            _output(name, each)
            for name, stage in stages["stages"].items()
            for each in stage.get("outs", [])
        ]
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal(
            f"{lock} is damaged ({one_line(error)}); `git checkout {lock}` brings back the one "
            "that was committed last."
        ) from None
    return found


def _output(stage: str, entry: dict[str, Any]) -> Output:
    digest = entry["md5"]
    if entry.get("hash", "md5") != "md5" or len(bytes.fromhex(digest.removesuffix(".dir"))) != 16:
        raise ValueError(f"{digest!r:.40} of {entry['path']} is no MD5")
    return Output(Path(entry["path"]), digest, int(entry["size"]), stage)


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


def _digest(files: dict[str, str]) -> str:
    """Return what DVC calls a folder of these files by: the MD5 of their listing."""
    rows = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    text = json.dumps(rows, sort_keys=True).encode()
    return f"{hashlib.md5(text, usedforsecurity=False).hexdigest()}.dir"


def _kept(digest: str) -> dict[str, str] | None:
    """Return a folder's listing as DVC keeps it; None where it is not at hand, or damaged."""
    path = OBJECTS / digest[:2] / digest[2:]
    if f"{md5(path)}.dir" != digest:
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {row["relpath"]: row["md5"] for row in rows}
