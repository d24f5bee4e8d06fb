"""Removal of the folders of killed fork servers."""

import os
import re
import shutil
import socket
from pathlib import Path

CONNECT_TIMEOUT_SECONDS = 1.0


def remove_stale_folders(folder: Path) -> None:
    """Remove this user's server folders next to `folder` if their processes have ended."""
    pattern = re.compile(rf"hourglass-{os.getuid()}-(\d+)-(\d+)")
    for other in folder.parent.iterdir():
        owner = pattern.fullmatch(other.name)
        if not owner or other.lstat().st_uid != os.getuid():
            continue
        if not _is_alive(*owner.groups()) and not _is_served(other):
            shutil.rmtree(other, ignore_errors=True)  # another server may be removing it


def _is_alive(pid: str, start: str) -> bool:
    """Return whether a process with this id and start time is running; ids alone are reused."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return False
    return fields[19] == start


def _is_served(folder: Path) -> bool:
    """Return whether a server accepts connections in the folder.

    Needed because its owner may run in another container, so that its process is not visible here.
    A full connection queue counts as served.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(CONNECT_TIMEOUT_SECONDS)
        try:
            connection.connect(str(folder / "socket"))
        except (TimeoutError, BlockingIOError):
            return True
        except OSError:
            return False
    return True
