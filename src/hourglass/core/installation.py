"""The installed package: its version, and how child processes find it and its programs."""

import os
import re
import site
import sys
from importlib import metadata
from pathlib import Path

from hourglass.core.errors import UserError

REQUIREMENTS = Path("requirements.txt")
PIN = re.compile(r"^hourglass==(\S+)", re.MULTILINE)


def installed_version() -> str:
    """Return the version of the installed package."""
    return metadata.version("hourglass")


def require_pinned_version() -> None:
    """Raise a UserError if requirements.txt of the workspace pins another version.

    DVC depends on that file instead of the package's code, so results of another version would
    count as results of the pinned one.
    """
    pin = PIN.search(REQUIREMENTS.read_text(encoding="utf-8")) if REQUIREMENTS.exists() else None
    if pin and pin[1] != (installed := installed_version()):
        raise UserError(
            f"{REQUIREMENTS} pins hourglass {pin[1]}, but {installed} is installed; `pip install "
            f"-r {REQUIREMENTS}` installs the pinned version, or `hourglass init --upgrade` shows "
            "what the installed one changes here."
        )


def python_path() -> str:
    """Return PYTHONPATH for child processes that import the same copy of this package.

    Modules of the user follow. site-packages is not in it, as it would come before the standard
    library.
    """
    folder, inherited = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")
    found = folder in (*site.getsitepackages(), site.getusersitepackages())
    return os.pathsep.join(filter(None, ["" if found else folder, inherited]))


def search_path() -> str:
    """Return PATH for commands of dvc.yaml, which then run in this environment first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
