"""Digest of the tables in reports/, to detect outdated pages.

DVC tracks and restores the tables, but no page: pages show dates and durations of trainings, so
that they differ from run to run.
"""

import hashlib
from pathlib import Path

from hourglass.core.paths import CODES, LEADERBOARD, PAGE

TABLES = (LEADERBOARD, CODES)
HEAD_CHARACTERS = 2000  # of a page; they include the digest of its tables


def tables_digest(folder: Path) -> str:
    """Return the SHA-256 digest of the tables of stage `compare` in a folder."""
    digest = hashlib.sha256()
    for path in TABLES:
        digest.update((folder / path.name).read_bytes())
    return digest.hexdigest()


def page_is_outdated() -> bool:
    """Return whether the page is missing or of other tables, as after `dvc checkout`."""
    if not all(path.exists() for path in TABLES):
        return False
    if not PAGE.exists():
        return True
    with PAGE.open(encoding="utf-8") as file:
        return tables_digest(LEADERBOARD.parent) not in file.read(HEAD_CHARACTERS)
