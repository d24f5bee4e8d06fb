"""The exception for errors that the user can fix, and readable messages for library errors."""

import errno
import re

from hourglass.core.redaction import redact

# Operating-system errors that are not bugs: the reason and the remedy.
SYSTEM_ERRORS = {
    errno.ENOSPC: ("the disk is full", "free some space and run the same command again"),
    errno.EDQUOT: ("the disk quota is exceeded", "free some space and run the same command again"),
    errno.EROFS: ("the file system is read-only", "work in a folder on a writable file system"),
    errno.EACCES: ("permission denied", "change the file's owner or mode"),
    errno.EPERM: ("operation not permitted", "change the file's owner, mode or attributes"),
    errno.EIO: ("the disk reports an input/output error", "restore the file from a backup"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one"),
    errno.EMFILE: ("too many files are open", "raise the limit with `ulimit -n`"),
}

# Messages of safetensors, SQLite, Arrow, torch and NumPy, which report these errors without an
# error number.
LIBRARY_MESSAGES = {
    errno.ENOSPC: re.compile(
        "No space left on device|database or disk is full|unexpected pos"
        r"|\d+ requested and \d+ written"
    ),
    errno.EROFS: re.compile("Read-only file system|attempt to write a readonly database"),
    errno.EACCES: re.compile("Permission denied|unable to open database file"),
}

# Parts of SQLAlchemy's messages that do not help users.
SQLALCHEMY_HINT = re.compile(
    r"\(raised as a result of [^)]*\) | ?\(Background on this error at[^)]*\)"
)
MAX_MESSAGE_CHARACTERS = 300


class UserError(Exception):
    """An error that the user can fix; its message names the value and the remedy.

    The message is one sentence. The command line prints it without a traceback and exits with
    status 1. Passwords and keys are redacted. Unprintable characters become "?", because control
    characters of a file name could manipulate the terminal.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(redact(sentence)))


def printable(text: str) -> str:
    """Replace control characters, which could manipulate the terminal, with question marks."""
    return "".join(char if char.isprintable() else "?" for char in text)


def one_line(error: BaseException) -> str:
    """Return an error's message as part of a sentence: one line, no full stops, no secrets."""
    message = SQLALCHEMY_HINT.sub("", " ".join(str(error).split()))
    text = redact(message).replace(". ", ": ").rstrip(".")
    return text[:MAX_MESSAGE_CHARACTERS] or type(error).__name__


def operating_system_error(error: BaseException | None) -> str | None:
    """Return a message if an error or one of its causes is in SYSTEM_ERRORS, else None."""
    while error is not None:
        code = error.errno if isinstance(error, OSError) else None
        if code is None:
            code = next(
                (n for n, pattern in LIBRARY_MESSAGES.items() if pattern.search(str(error))), None
            )
        if code in SYSTEM_ERRORS:
            reason, remedy = SYSTEM_ERRORS[code]
            path = getattr(error, "filename2", None) or getattr(error, "filename", None)
            sentence = f"{reason}; {remedy}."
            return f"{path}: {sentence}" if path else sentence[0].upper() + sentence[1:]
        error = error.__cause__ or error.__context__
    return None
