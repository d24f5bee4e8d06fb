"""The working folder of a script: the repository's settings, for the script to change."""

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]


def enter(folder: Path) -> None:
    """Work in `folder`, made where it is missing, with fresh copies of configs/ and params.yaml.

    The raw data stay where HOURGLASS_DATA, or its default, says from the folder before.
    """
    raw = Path(os.environ.get("HOURGLASS_DATA") or ROOT / "data/raw")
    os.environ["HOURGLASS_DATA"] = str(raw.absolute())
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    shutil.copytree(ROOT / "configs", "configs", dirs_exist_ok=True)
    shutil.copy(ROOT / "params.yaml", "params.yaml")
