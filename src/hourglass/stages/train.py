"""Stage `train`: train one variant on a prepared data set."""

import csv
import json
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hourglass.core.atomic import sha256, write_json, write_text
from hourglass.core.errors import UserError
from hourglass.core.locks import is_rank_zero
from hourglass.core.paths import Cell
from hourglass.core.settings import data_config, model_config
from hourglass.core.suggestions import counted
from hourglass.data.prepared_data import Prepared
from hourglass.stages.output import CellOutput, cell_stage
from hourglass.tracking import provenance
from hourglass.tracking.recording import EPOCHS, SETTINGS
from hourglass.training.cell_settings import CellSettings, resolve_cell
from hourglass.training.convergence import still_improving

if TYPE_CHECKING:
    from hourglass.models.base import LitAutoencoder

RANK_ZERO_REPORT_SECONDS = 15  # rank 0 records the failed run, then reports the error


def train(data: str, model: str) -> Path:
    """Train a variant on a data set until its validation error no longer improves.

    Writes to runs/<data>/<model>/train/ the best weights (weights.safetensors, network.json), the
    resolved settings (settings.yaml), history.csv and training.json. Epochs appear in MLflow during
    the training. A killed training resumes from its last checkpoint.

    Examples:
        hourglass train digits denoising

    """
    cell = Cell(data, model)
    # Reject unknown names at once, before the heavy imports.
    data_config(data)
    model_config(model)
    prepared = Prepared.open(cell.prepared)
    if is_rank_zero():
        with cell_stage("train", cell) as output:
            _fit(cell, prepared, output)
    else:
        try:
            _fit(cell, prepared, None)
        except UserError:
            time.sleep(RANK_ZERO_REPORT_SECONDS)  # its launcher ends rank 0 if another rank ends
            raise SystemExit(1) from None
    return cell.output("train")


def _fit(cell: Cell, prepared: Prepared, output: CellOutput | None) -> None:
    """Train the cell; on rank 0, write the result to `output` and append the epochs to a file.

    The file of epochs is read by the process that records them in MLflow. `output` is None on all
    other ranks.
    """
    from hourglass.data.datamodule import DataModule
    from hourglass.networks import weights
    from hourglass.training.checkpoints import resume_or_start, wait_for_rank_zero
    from hourglass.training.trainer import (
        finish,
        fit_resumable,
        make_module,
        make_trainer,
        pretrain,
    )

    settings = resolve_cell(cell, prepared.input_shape, prepared.input_count("train"))
    module = make_module(settings, prepared.heads)
    on_epoch = partial(_append_epoch, cell.resume / EPOCHS) if output else None
    # Reject invalid settings before an MLflow run is opened.
    trainer, history = make_trainer(settings, cell.resume, on_epoch)
    token, identity = "", (cell.resume, settings, prepared.card["sha256"])
    if output:
        token = resume_or_start(*identity)["token"]
        resolved = asdict(settings) | {"latent_dim": module.network.latent_dim}
        write_text(cell.resume / SETTINGS, yaml.safe_dump(resolved))
        write_text(cell.resume / EPOCHS, "")  # a resumed training reports all epochs again
        output.recorder.follow_training()
    else:
        wait_for_rank_zero(*identity)
    start, started = time.perf_counter(), time.time()
    data = DataModule(cell.data, settings.training.batch_size, settings.seed, settings.residency)
    phases, new_epochs = pretrain(settings, cell.resume, on_epoch, module, data)
    new_epochs += fit_resumable(trainer, history, module, data)
    if output:
        finish(module, data)
    seconds = time.perf_counter() - start
    if output:
        best = min(history.rows, key=lambda row: row["validation_error"])
        summary = {
            "epochs": len(history.rows),
            "best_epoch": best["epoch"],
            "best_validation_error": best["validation_error"],
            "still_improving": still_improving(
                [row["validation_error"] for row in history.rows], settings.training.max_epochs
            ),
            "parameters": weights.parameter_count(module.network),
            "data": prepared.card["sha256"],
        }
        _write(output.folder, settings, module, phases + history.rows, summary)
        _warn_if_still_improving(settings, summary)
        output.timing |= {
            "started": int(started * 1000),  # in ms since 1970
            "ended": int(time.time() * 1000),
            "environment": provenance.tags(),
            "weights": sha256(output.folder / weights.WEIGHTS),
            "token": token,
        }
        if new_epochs:  # otherwise the training was already complete when it resumed
            samples = new_epochs * prepared.card["splits"]["train"]["normal"]
            output.timing |= {"seconds": seconds, "samples_per_second": samples / seconds}
        (cell.tracking / "run_id").unlink(missing_ok=True)  # the run of an earlier training


def _warn_if_still_improving(settings: CellSettings, summary: dict[str, Any]) -> None:
    """Print that `max_epochs` ended the training while the validation error still fell."""
    if summary["still_improving"]:
        print(
            f"{settings.data}-{settings.model}: the validation error still fell when the training "
            f"ended after {counted(summary['epochs'], 'epoch')}; raise max_epochs or learning_rate "
            f"in configs/data/{settings.data}.yaml.",
            file=sys.stderr,
        )


def _append_epoch(path: Path, row: dict[str, Any]) -> None:
    """Append one row of the history to a file, as a line of JSON."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _write(
    folder: Path,
    settings: CellSettings,
    module: "LitAutoencoder",
    rows: list[dict[str, Any]],
    summary: dict[str, Any],
) -> None:
    """Write the resolved settings, weights, history.csv and training.json to `folder`."""
    from hourglass.networks import weights

    write_text(folder / weights.SETTINGS, yaml.safe_dump(asdict(settings), sort_keys=False))
    weights.write(module.network, folder, weights.SETTINGS)
    with (folder / "history.csv").open("w", encoding="utf-8", newline="") as file:
        # Rows of pre-training phases come first and have an extra column, `phase`.
        writer = csv.DictWriter(file, list(rows[0]), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_json(folder / "training.json", summary)
