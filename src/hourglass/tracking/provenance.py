"""The provenance of a result: git commit, versions and platform."""

import platform
import subprocess
from importlib import metadata


def tags() -> dict[str, str]:
    """Return versions, platform and git commit as tags of a run."""
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
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout.strip()


def installed_packages() -> str:
    """Return every installed distribution with its version, one per line."""
    lines = {f"{package.name}=={package.version}" for package in metadata.distributions()}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"
