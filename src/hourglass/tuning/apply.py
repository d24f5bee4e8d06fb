"""Write what a study found into the configuration of its cell, and keep what it had before."""

import io
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from hourglass.core.atomic import sha256, write_json, write_text
from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import Cell
from hourglass.core.settings import params
from hourglass.core.yaml_config import Yaml
from hourglass.data.prepared import Prepared
from hourglass.training.cell_settings import resolve_cell

MEASURED = (
    "evaluate/metrics.json",
    "train/network.json",
    "calibrate/threshold.json",
    "calibrate/detector.json",
)
HEADER = (
    "What this cell alone has in place of the settings in configs/data and configs/model.\n"
    "`hourglass tune --apply` writes here; without this file the cell has its defaults again."
)


def apply_values(cell: Cell, values: Yaml, study: str) -> str:
    """Write the values to configs/cell/<data>-<model>.yaml, whose comments and other values stay.

    The figures of the cell as it was before its first tuning go beside it, for the leaderboard,
    and DVC takes note: `dvc status` then shows this cell as changed, and no other. Returns what to
    do next.
    """
    if not cell.config.exists():
        # First what there was: a kill between the two loses nothing.
        found = _default(cell)
        cell.default_record.unlink(missing_ok=True)
        if found:
            write_json(cell.default_record, found | {"study": study})
    _write(cell.config, values)
    _tell_dvc()
    own, where = params(), cell.config.as_posix()
    if cell.data in own.data and cell.model in own.models:
        return f"written to {where}; `dvc repro` trains the cell again"
    return f"written to {where}; `dvc repro` skips the cell, which is not in params.yaml's grid"


def _write(path: Path, values: Yaml) -> None:
    editor = YAML()
    editor.width = 100
    try:
        document = editor.load(path) if path.exists() else None
    except YAMLError as error:
        raise UserError(f"{path.as_posix()} is no valid YAML: {one_line(error)}.") from None
    if document is None:
        document = CommentedMap({"init_args": CommentedMap()})
        document.yaml_set_start_comment(HEADER)
    section = document["init_args"] = document.get("init_args") or CommentedMap()
    for key, value in values.items():
        section[key] = value
    text = io.StringIO()
    editor.dump(document, text)
    write_text(path, text.getvalue())


def _default(cell: Cell) -> Yaml | None:
    """Return what the cell's last evaluation found, if that was of its settings and data as now."""
    from hourglass.networks.weights import trained_with

    try:
        metrics, network, threshold, detector = (
            json.loads((cell / name).read_text(encoding="utf-8")) for name in MEASURED
        )
        settings = trained_with(cell.output("train"))
    except FileNotFoundError:
        return _warn(cell, "was not evaluated before")
    prepared = Prepared.open(cell.prepared)
    now = asdict(resolve_cell(cell, prepared.sample_shape))
    same = all(settings[key] == now[key] for key in ("class_path", "init_args", "training", "seed"))
    if not same or detector["files"]["weights.safetensors"] != sha256(
        cell / "train/weights.safetensors"
    ):
        return _warn(cell, "was evaluated with other settings")
    return {
        "data": prepared.card["sha256"],
        "init_args": settings["init_args"],
        "latent_dim": network["init_args"]["latent_dim"],
        "score": detector["score"],
        "threshold": threshold,
        "metrics": metrics,
    }


def _warn(cell: Cell, reason: str) -> Yaml | None:
    """Say why there will be no default beside the tuned cell."""
    print(
        f"{cell.name} {reason}: the leaderboard will have no default beside it; for one, take "
        f"{cell.config.as_posix()} away, `dvc repro`, and apply again.",
        file=sys.stderr,
    )
    return None


def _tell_dvc() -> None:
    """Run the stage that gives each cell its own file: DVC then knows which one has changed."""
    command = [
        sys.executable,
        "-m",
        "dvc",
        "--wait-for-lock",
        "repro",
        "--quiet",
        "--single-item",
        "snapshot",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"the values are written, but `dvc repro snapshot` failed "
            f"({one_line(Exception(done.stderr))}); run it again."
        )
