"""The files of a workspace: the repository's own settings, and a few more.

Imports only the standard library, because `setup.py` packs the repository's files into the wheel.
"""

import json
from importlib import metadata
from pathlib import Path

# The repository's files in a wheel, as {path: text}. They are one JSON file, because DVC
# would treat a dvc.yaml in an environment inside a workspace as a pipeline of the workspace.
PACKED = "template.json"
# Without configs/cell/*.yaml, the tuned settings of a checkout.
SHARED_FILES = (
    *(".dvc/.gitignore", ".dvc/config", ".dvc/plots/*.json", ".dvcignore"),
    *(".gitattributes", ".gitignore", "configs/*.yaml", "configs/cell/README.md"),
    *("configs/data/*.yaml", "configs/model/*.yaml", "configs/trainer/*.yaml"),
    *("configs/tune/*/*.yaml", "data/own/README.md", "dvc.yaml", "mlruns/README.md"),
    *("params.yaml", "reports/.gitkeep", "tune/*.yaml"),
)
# Differences of a workspace by file: (text in the repository, text in a workspace). The
# installed package runs instead of src/hourglass, and the pin of its version instead of its sources
# is a dependency.
REPLACEMENTS = {
    "dvc.yaml": (
        ("cmd: python src/hourglass ", "cmd: hourglass "),
        ("      - src\n", "      - requirements.txt\n      - src\n"),
    ),
    "tune/dvc.yaml": (
        ("        python src/hourglass tune ", "        hourglass tune "),
        (
            "        - src/hourglass/models\n        - src/hourglass/networks\n",
            "        - requirements.txt\n        - src\n",
        ),
    ),
    ".gitattributes": ((".dvc/config export-subst\n", ""),),
}
ARCHIVE_SETTING = "    # An archive"  # the setting of `git archive` begins here in .dvc/config
REQUIREMENTS = "requirements.txt"


def repository_files(root: Path) -> dict[str, str]:
    """Return the text of the repository's files that belong to every workspace, by path."""
    paths = sorted(path for pattern in SHARED_FILES for path in root.glob(pattern))
    return {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in paths}


def workspace_files() -> dict[str, str]:
    """Return the text of all files of a new workspace, by path.

    In a checkout, the repository's files are read in place, otherwise from the package.
    """
    here = Path(__file__).parent
    packed, own = here / PACKED, here / "workspace"
    if packed.exists():
        files = json.loads(packed.read_text("utf-8"))
    else:
        files = repository_files(here.parents[2])
    for path, replacements in REPLACEMENTS.items():
        for old, new in replacements:
            files[path] = files[path].replace(old, new)
    files[".dvc/config"] = files[".dvc/config"].partition(ARCHIVE_SETTING)[0]
    more = sorted(path for path in own.rglob("*") if path.is_file())
    files |= {path.relative_to(own).as_posix(): path.read_text("utf-8") for path in more}
    return files | {REQUIREMENTS: f"hourglass=={metadata.version('hourglass')}\n"}
