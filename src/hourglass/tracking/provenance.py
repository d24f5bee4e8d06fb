"""What a result was made with: code, versions, machine."""

import platform
import subprocess
from importlib import metadata


def tags() -> dict[str, str]:
    """Return versions, platform and git commit, as tags of a run."""
    found = {
        "hourglass.version": metadata.version("hourglass"),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "platform": platform.platform(),
    }
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if git.returncode == 0:
        found["mlflow.source.git.commit"] = git.stdout.strip()
        changes = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        found["git.uncommitted_changes"] = str(bool(changes.stdout.strip())).lower()
    return found


def installed() -> str:
    """Return every installed distribution with its version, a line each."""
    lines = {f"{each.name}=={each.version}" for each in metadata.distributions()}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"
