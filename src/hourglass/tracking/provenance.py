"""The provenance of a result: git commit, package versions and platform."""

import platform
import shutil
import subprocess
from importlib import metadata


def tags() -> dict[str, str]:
    """Return package versions, platform and, in a git repository, the commit as MLflow tags."""
    values = {
        "hourglass.version": metadata.version("hourglass"),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "platform": platform.platform(),
    }
    if commit := _git("rev-parse", "HEAD"):
        values["mlflow.source.git.commit"] = commit
        changes = _git("status", "--porcelain", "--untracked-files=no")
        values["git.uncommitted_changes"] = str(bool(changes)).lower()
    return values


def _git(*arguments: str) -> str:
    """Return the output of a git command, or "" if it fails, or git is not installed."""
    if not shutil.which("git"):
        return ""
    process = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return "" if process.returncode else process.stdout.strip()


def installed_packages() -> str:
    """Return every installed distribution with its version, one per line."""
    lines = {f"{package.name}=={package.version}" for package in metadata.distributions()}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"
