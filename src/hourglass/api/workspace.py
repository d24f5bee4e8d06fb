"""Workspaces other than the working folder."""

from contextlib import chdir
from pathlib import Path

from hourglass.core.errors import UserError


def inside(workspace: str | Path) -> "chdir[Path]":
    """Return a context that works in a workspace, because the paths of its files are relative.

    Raises a UserError if it is not a folder.
    """
    folder = Path(workspace)
    if not folder.is_dir():
        raise UserError(f"workspace is {workspace}, which is not a folder; name one with runs/.")
    return chdir(folder)
