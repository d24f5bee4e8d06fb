"""The one exception that is the user's to mend, and the words of others in it."""

import errno
import re

from hourglass.core.redaction import redact

# What a system says no with, though no program is at fault, and the way out.
SYSTEM = {
    errno.ENOSPC: ("the disk is full", "make room, and run the same command again"),
    errno.EDQUOT: ("your share of the disk is used up", "make room, and run the same again"),
    errno.EROFS: ("the disk is mounted for reading alone", "work in a folder on another one"),
    errno.EACCES: ("it is not yours to read or write", "change its owner or mode"),
    errno.EPERM: ("it is not yours to change", "change its owner, mode or attributes"),
    errno.EIO: ("the disk has a fault there", "bring the file back from another copy"),
    errno.ENAMETOOLONG: ("the name is too long", "give a shorter one"),
    errno.EMFILE: ("too many files are open", "raise the limit with `ulimit -n`"),
}

# What libraries say of it whose errors bear no code: safetensors, SQLite, Arrow, torch, numpy.
SAID = {
    errno.ENOSPC: re.compile(
        "No space left on device|database or disk is full|unexpected pos"
        r"|\d+ requested and \d+ written"
    ),
    errno.EROFS: re.compile("Read-only file system|attempt to write a readonly database"),
    errno.EACCES: re.compile("Permission denied|unable to open database file"),
}


# SQLAlchemy's advice to those who call it.
ADVICE = re.compile(r"\(raised as a result of [^)]*\) | ?\(Background on this error at[^)]*\)")


class UserError(Exception):
    """Say in one sentence which value cannot be used and what to do instead.

    The command line prints the sentence without a traceback and exits with status 1. Passwords and
    keys that the sentence quotes are hidden. A file's name or content may be in it: what would
    break the line, or steer a terminal, becomes a "?".
    """

    def __init__(self, sentence: str) -> None:
        shown = redact(sentence)
        super().__init__("".join(each if each.isprintable() else "?" for each in shown))


def one_line(error: BaseException) -> str:
    """Return a library's message as part of a sentence: one line, no full stops, no secret."""
    said = ADVICE.sub("", " ".join(str(error).split()))
    text = redact(said).replace(". ", ": ").rstrip(".")
    return text[:300] or type(error).__name__


def operating_system_error(error: BaseException | None) -> str | None:
    """Return a sentence where an error, or one that caused it, is the system's; else None."""
    while error is not None:
        code = error.errno if isinstance(error, OSError) else None
        if code is None:
            code = next((each for each, words in SAID.items() if words.search(str(error))), None)
        if code in SYSTEM:
            reason, way_out = SYSTEM[code]
            where = getattr(error, "filename2", None) or getattr(error, "filename", None)
            return f"{where}: {reason}; {way_out}." if where else f"{reason}; {way_out}."
        error = error.__cause__ or error.__context__
    return None
