"""What a disk refuses a command, in one sentence: no room, or no right to write."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)
# What libraries say whose errors bear no number: safetensors, SQLite, torch, numpy.
FULL_WORDS = re.compile(
    "No space left on device|database or disk is full|unexpected pos"
    r"|\d+ requested and \d+ written"  # numpy's
)
DENIED_WORDS = re.compile(
    "Read-only file system|Permission denied|attempt to write a readonly database"
    "|unable to open database file"
)
WRITTEN = ("runs", "data/prepared", "reports", "checkpoints", "mlruns", ".")
LITTLE = 1 << 20  # bytes: a disk with less is full
AGAIN = "and run the same command again, which goes on from here."


def trouble(error: BaseException) -> str | None:
    """Return the sentence for an error that a disk is the reason of; None for any other.

    The reason may be the cause of the error that a library makes of it.
    """
    for each in _chain(error):
        text, number = str(each), each.errno if isinstance(each, OSError) else None
        if number in FULL or FULL_WORDS.search(text):
            place = _file(each) or _first(_is_full) or "a file"
            return f"{place} cannot be written (the disk is full); make room there {AGAIN}"
        said = DENIED_WORDS.search(text)
        if number in DENIED or said:
            reason = said[0] if said else os.strerror(number or 0)
            place = _file(each) or _first(_is_denied) or "a file"
            return f"{place} cannot be written ({reason}); let this user write there {AGAIN}"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its cause, the cause of that ..."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


def _file(error: BaseException) -> str:
    """Return the file that could not be written, where the error names it."""
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return str(name) if name else ""


def _first(stands: Callable[[Path], bool]) -> str:
    """Return the first folder of the workspace of which something is true."""
    folders = [Path(tempfile.gettempdir()), *map(Path, WRITTEN)]
    found = [folder for folder in folders if folder.is_dir() and stands(folder)]
    return found[0].as_posix() if found else ""


def _is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < LITTLE


def _is_denied(folder: Path) -> bool:
    return not os.access(folder, os.W_OK)
