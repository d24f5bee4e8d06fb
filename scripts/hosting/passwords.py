"""The passwords of a team's servers: made at random, kept in files that their owner alone reads."""

import json
import secrets
from pathlib import Path

from hourglass.core.atomic import atomic_file
from hourglass.core.errors import UserError

NAMES = ("postgres", "mlflow", "optuna", "admin", "hourglass", "cookies")


def write_private(path: Path, text: str) -> None:
    """Write a file, whole or not at all, that nobody but its owner can read, not for a moment."""
    with atomic_file(path) as temporary:
        temporary.touch(0o600)  # before there is anything in it
        temporary.write_text(text, encoding="utf-8")


def passwords(path: Path) -> dict[str, str]:
    """Return the passwords in a file, by name; it is made where it is missing.

    Raises a UserError where others can read the file.
    """
    if not path.exists():
        write_private(path, json.dumps({name: secrets.token_urlsafe(24) for name in NAMES}))
    if path.stat().st_mode & 0o077:
        raise UserError(f"{path} can be read by others; run `chmod 600 {path}`.")
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found
