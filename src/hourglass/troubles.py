"""What a disk refuses a command, in one sentence: no room, or no right to write."""

import errno
from collections.abc import Iterator

FULL = (errno.ENOSPC, errno.EDQUOT)
DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)
# Of libraries whose errors bear no number: safetensors, SQLite, numpy, torch.
FULL_WORDS = (
    "No space left on device",
    "database or disk is full",
    "requested and",
    "file write failed",
)
DENIED_WORDS = (
    "Read-only file system",
    "Permission denied",
    "readonly database",
    "unable to open database file",
    "No usable temporary directory",
)
ROOM = "make room there and run the same command again, which goes on from here"
RIGHT = "let this user write there and run the same command again, which goes on from here"


def trouble(error: BaseException) -> str | None:
    """Return the sentence for an error that a disk is the reason of; None for any other.

    The reason may be the cause of the error that a library makes of it.
    """
    for each in _chain(error):
        number = each.errno if isinstance(each, OSError) else None
        text = " ".join(str(each).split())
        if number in FULL or any(words in text for words in FULL_WORDS):
            return f"{_place(each)} cannot be written (the disk is full); {ROOM}."
        if number in DENIED or any(words in text for words in DENIED_WORDS):
            return f"{_place(each)} cannot be written ({_reason(each)}); {RIGHT}."
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    next_one: BaseException | None = error
    while next_one is not None and id(next_one) not in seen:
        yield next_one
        seen.add(id(next_one))
        next_one = next_one.__cause__ or next_one.__context__


def _place(error: BaseException) -> str:
    """Return the file, as far as the error names it."""
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return str(name) if name else "a file"


def _reason(error: BaseException) -> str:
    from hourglass.errors import one_line

    return str(getattr(error, "strerror", None) or one_line(error))
