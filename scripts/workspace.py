"""The working folder of a script: the repository's settings, for the script to change."""

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]


def enter(folder: Path) -> None:
    """Work in `folder`, made where it is missing, with fresh copies of configs/ and params.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    shutil.copytree(ROOT / "configs", "configs", dirs_exist_ok=True)
    shutil.copy(ROOT / "params.yaml", "params.yaml")
