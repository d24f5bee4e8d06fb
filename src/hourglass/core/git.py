"""The output of git commands."""

import shutil
import subprocess


def git(*arguments: str) -> str:
    """Return the output of a git command, or "" if it fails or git is not installed."""
    if not shutil.which("git"):
        return ""
    process = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return "" if process.returncode else process.stdout.rstrip()
