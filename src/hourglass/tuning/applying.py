"""Write what a study found into the configuration of its cell, and keep what it had before."""

import io
import json
import subprocess
import sys
from pathlib import Path

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from hourglass.configuration import Yaml
from hourglass.errors import Refusal, one_line
from hourglass.files import write_json, write_text
from hourglass.workspace import CELLS_STAGE, Cell

MEASURED = ("metrics.json", "network.json", "threshold.json")
HEADER = (
    "What this cell alone has in place of the settings in configs/data and configs/model.\n"
    "`hourglass tune --apply` writes here; without this file the cell has its defaults again."
)


def apply_values(cell: Cell, values: Yaml, study: str) -> None:
    """Write the values to configs/cell/<data>-<model>.yaml, whose comments and other values stay.

    The figures of the cell as it was before its first tuning go beside it, for the leaderboard,
    and DVC takes note: `dvc status` then shows this cell as changed, and no other.
    """
    before = cell.default_record
    found = _default(cell) if not before.exists() and not cell.config.exists() else None
    _write(cell.config, values)
    if found:
        write_json(before, found | {"study": study})
    _tell_dvc()


def _write(path: Path, values: Yaml) -> None:
    editor = YAML()
    editor.width = 100
    try:
        document = editor.load(path) if path.exists() else None
    except YAMLError as error:
        raise Refusal(f"{path.as_posix()} is no valid YAML: {one_line(error)}.") from None
    if document is None:
        document = CommentedMap({"init_args": CommentedMap()})
        document.yaml_set_start_comment(HEADER)
    section = document.setdefault("init_args", CommentedMap())
    for key, value in values.items():
        section[key] = value
    text = io.StringIO()
    editor.dump(document, text)
    write_text(path, text.getvalue())


def _default(cell: Cell) -> Yaml | None:
    """Return what the cell's last evaluation found, if there is one of the present data."""
    try:
        card, metrics, network, threshold = (
            json.loads(path.read_text(encoding="utf-8"))
            for path in (cell.prepared / "card.json", *(cell / name for name in MEASURED))
        )
        settings = yaml.safe_load((cell / "settings.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        print(
            f"{cell.name} was not evaluated before: the leaderboard will have no default beside "
            f"it; for one, take {cell.config.as_posix()} away, `dvc repro`, and apply again.",
            file=sys.stderr,
        )
        return None
    return {
        "data": card["sha256"],
        "init_args": settings["init_args"],
        "latent_dim": network["init_args"]["latent_dim"],
        "threshold": threshold,
        "metrics": metrics,
    }


def _tell_dvc() -> None:
    """Run the stage that gives each cell its own file: DVC then knows which one has changed."""
    command = [sys.executable, "-m", "dvc", "repro", "--quiet", "--single-item", CELLS_STAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refusal(
            f"the values are written, but `dvc repro {CELLS_STAGE}` failed "
            f"({one_line(Exception(done.stderr))}); run it again."
        )
