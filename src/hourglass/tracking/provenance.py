"""The provenance of a result: git commit, package versions and platform."""

import platform
from importlib import metadata

from hourglass.core.git import git

# `dvc repro` writes these files itself; they do not change a result.
WRITTEN_BY_DVC = (":(exclude,top,glob)**/dvc.lock", ":(exclude,top,glob)**/.gitignore")


def tags() -> dict[str, str]:
    """Return package versions, platform and, in a git repository, the commit as MLflow tags."""
    values = {
        "hourglass.version": metadata.version("hourglass"),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "platform": platform.platform(),
    }
    if commit := git("rev-parse", "HEAD"):
        values["mlflow.source.git.commit"] = commit
        paths = ("--", ":/", *WRITTEN_BY_DVC)
        changes = git("status", "--porcelain", "--untracked-files=no", *paths)
        values["git.uncommitted_changes"] = str(bool(changes)).lower()
    return values


def installed_packages() -> str:
    """Return every installed distribution with its version, one per line."""
    lines = {f"{package.name}=={package.version}" for package in metadata.distributions()}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"
