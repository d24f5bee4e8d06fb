"""Stage `train`: prepared arrays -> the weights of one variant, and the record of getting there."""

import csv
import io
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hourglass.data.packed import Prepared
from hourglass.errors import Refusal
from hourglass.files import write_json, write_text
from hourglass.settings import CellSettings, data_config, model_config, resolve_cell
from hourglass.tracking import environment
from hourglass.tracking.facts import dataset
from hourglass.tracking.parts import MADE, settings_params
from hourglass.tracking.recorder import Recorder
from hourglass.turns import is_main_process
from hourglass.workspace import Cell

if TYPE_CHECKING:
    from hourglass.models.base import LitAutoencoder


def train(data: str, model: str) -> Path:
    """Train a variant on a data set until its validation error no longer improves.

    Writes to runs/<data>/<model>/ the best weights (weights.safetensors, network.json), the
    resolved settings (settings.yaml), history.csv, training.json, and run_id of the MLflow run (a
    token where MLflow is away). A training that was killed goes on from its last epoch.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model

    """
    cell = Cell(data, model)
    # Unknown names are refused at once, before the heavy imports.
    data_config(data)
    model_config(model)
    prepared = Prepared.open(cell.prepared)
    if not is_main_process():
        try:
            _fit(cell, prepared, None)
        except Refusal:
            raise SystemExit(1) from None  # rank 0 says why
        return cell.folder
    with Recorder() as recorder:
        _fit(cell, prepared, recorder)
    return cell.folder


def _fit(cell: Cell, prepared: Prepared, recorder: Recorder | None) -> None:
    from hourglass.data.datamodule import DataModule
    from hourglass.training import fitting, resuming
    from hourglass.weights import parameter_count

    settings = resolve_cell(cell, prepared.sample_shape)
    module = fitting.make_module(settings)
    # Whatever is refused is refused before a run is opened.
    trainer, history = fitting.make_trainer(settings, cell.resume, recorder)
    run_id, identity = "", (cell.resume, settings, prepared.card["sha256"])
    if recorder:
        run_id = _open_run(recorder, cell, prepared, settings, resuming.take_up(*identity))
    else:
        resuming.await_taken_up(*identity)
    start, started = time.perf_counter(), time.time()
    batch_size, seed = settings.training.batch_size, settings.seed
    data = DataModule(cell.data, batch_size, seed, settings.residency)
    phases, new_epochs = fitting.pretrain(settings, cell.resume, recorder, module, data)
    new_epochs += fitting.fit(trainer, history, module, data)
    seconds = time.perf_counter() - start
    if recorder:
        samples = new_epochs * prepared.card["splits"]["train"]["normal"]
        summary = _summary(history.rows, seconds, samples)
        summary["parameters"] = parameter_count(module.network)
        made = {MADE: _made(started, prepared.card)}
        _write(cell, settings, module, phases + history.rows, summary | made)
        write_text(cell / "run_id", f"{run_id}\n")
        recorder.complete(cell)


def _open_run(
    recorder: Recorder,
    cell: Cell,
    prepared: Prepared,
    settings: CellSettings,
    state: dict[str, str],
) -> str:
    """Open the run, or take up that of a killed training, and return its id.

    Where the store is away, return the token of the training, by which its run is found as well.
    """
    recorder.tell(
        "train",
        token=state["token"],
        replaced=state["replaced"],
        name=cell.name,
        params=settings_params(asdict(settings)),
        dataset=dataset(prepared.card),
    )
    run_id = recorder.ask("row") or state["token"]
    recorder.tell("surroundings")
    return run_id


def _summary(rows: list[dict[str, Any]], seconds: float, samples: int) -> dict[str, float]:
    best = min(rows, key=lambda row: row["validation_error"])
    found = {
        "epochs": len(rows),
        "best_epoch": best["epoch"],
        "best_validation_error": best["validation_error"],
    }
    # A training that was complete before a kill has nothing to time.
    return found | (
        {"seconds": seconds, "samples_per_second": samples / seconds} if samples else {}
    )


def _made(started: float, card: dict[str, Any]) -> dict[str, Any]:
    """Return when, of what and in which environment a training was made, which MLflow shows too.

    Times are milliseconds since 1970.
    """
    times = {"started": int(started * 1000), "ended": int(time.time() * 1000)}
    return {**times, "data": card["sha256"], "environment": environment.tags()}


def _write(
    cell: Cell,
    settings: CellSettings,
    module: "LitAutoencoder",
    rows: list[dict[str, Any]],
    summary: dict[str, Any],
) -> None:
    from hourglass import weights

    write_text(cell / weights.SETTINGS, yaml.safe_dump(asdict(settings), sort_keys=False))
    weights.write(module.network, cell.folder, weights.SETTINGS)
    table = io.StringIO()
    # Phases, if there are any, come first, in rows that name them.
    writer = csv.DictWriter(table, list(rows[0]), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(cell / "history.csv", table.getvalue())
    write_json(cell / "training.json", summary)
