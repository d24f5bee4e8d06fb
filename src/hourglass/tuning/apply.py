"""Write the best values of a study to the settings of its cell; save the metrics before tuning."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from ruamel.yaml.comments import CommentedMap

from hourglass.core.atomic import sha256, write_json, write_text
from hourglass.core.errors import UserError, one_line
from hourglass.core.installation import search_path
from hourglass.core.paths import Cell
from hourglass.core.settings import params, shared_config
from hourglass.core.yaml_config import Yaml
from hourglass.core.yaml_edit import edited_yaml
from hourglass.data.prepared_data import Prepared
from hourglass.training.cell_settings import resolve_cell

EVALUATION_FILES = (
    "evaluate/metrics.json",
    "train/network.json",
    "calibrate/threshold.json",
    "calibrate/detector.json",
)
SETTINGS = ("class_path", "init_args", "training", "seed")
HEADER = (
    "Settings of this cell only; they override those in configs/data and configs/model.\n"
    "`hourglass tune --apply` writes this file; delete it to restore the defaults."
)
SNAPSHOT_COMMAND = "dvc --wait-for-lock repro --quiet --single-item snapshot"


def apply_values(cell: Cell, values: Yaml, study: str) -> str:
    """Write values to configs/cell/<data>-<model>.yaml; keep its comments and other settings.

    Before the first tuning of the cell, the evaluation with its default settings is saved for the
    leaderboard. Stage `snapshot` then runs, so that `dvc status` shows only this cell as changed.
    Returns a message with the next step.
    """
    if not cell.config.exists():
        # Saved before writing the values, so that nothing is lost if the process is killed.
        default = _default_evaluation(cell)
        cell.default_record.unlink(missing_ok=True)
        if default:
            write_json(cell.default_record, default | {"study": study})
    _write_values(cell.config, values)
    _update_snapshot()
    workspace, path = params(), cell.config.as_posix()
    if cell.data in workspace.data and cell.model in workspace.models:
        return f"written to {path}; `dvc repro` trains the cell again"
    return f"written to {path}; `dvc repro` skips the cell until it is in the grid of params.yaml"


def _write_values(path: Path, values: Yaml) -> None:
    def change(document: CommentedMap) -> None:
        section = document["init_args"] = document.get("init_args") or CommentedMap()
        section.update(values)

    write_text(path, edited_yaml(path, change, HEADER))


def _default_evaluation(cell: Cell) -> Yaml | None:
    """Return the last evaluation of the cell, or None if its settings or data have changed."""
    from hourglass.networks.weights import trained_with

    reason = "was evaluated with other settings"
    try:
        metrics, network, threshold, detector = (
            json.loads((cell / name).read_text(encoding="utf-8")) for name in EVALUATION_FILES
        )
        trained = trained_with(cell.output("train"))
        prepared = Prepared.open(cell.prepared)
        current = asdict(resolve_cell(cell, prepared.input_shape, prepared.input_count("train")))
        unchanged = all(trained[key] == current[key] for key in SETTINGS)
        weights = sha256(cell / "train/weights.safetensors")
        if unchanged and detector["files"]["weights.safetensors"] == weights:
            return {
                "data": prepared.card["sha256"],
                "config": shared_config(cell),
                "init_args": trained["init_args"],
                "latent_dim": network["init_args"]["latent_dim"],
                "score": detector["score"],
                "threshold": threshold,
                "metrics": metrics,
            }
    except FileNotFoundError:
        reason = "was not evaluated before"
    print(
        f"{cell.name} {reason}: the leaderboard will not show it before tuning; to change that, "
        f"delete {cell.config.as_posix()}, run `dvc repro`, and apply again.",
        file=sys.stderr,
    )
    return None


def _update_snapshot() -> None:
    """Run stage `snapshot`, so that DVC detects the change of this cell."""
    command = [sys.executable, "-m", *SNAPSHOT_COMMAND.split()]
    environment = {**os.environ, "PATH": search_path()}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(
            f"the values are written, but `dvc repro snapshot` failed "
            f"({one_line(Exception(result.stderr))}); run it again."
        )
