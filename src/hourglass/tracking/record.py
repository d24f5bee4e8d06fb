"""Records of cells and of the grid comparison, written to MLflow from their files.

Stages and `hourglass record` call the same functions. They only add missing entries to a run. If
the params or metrics of a run differ from the record, the record goes to another run.
"""

import csv
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.core.atomic import sha256, write_text
from hourglass.core.paths import CODES, LEADERBOARD, SHARED_PAGE, Cell
from hourglass.tracking import descriptions, provenance
from hourglass.tracking.descriptions import NOTE
from hourglass.tracking.entries import earlier_name, epoch_points, rounded
from hourglass.tracking.runs import Runs, dataset_digest
from hourglass.tracking.stage_records import CellRecord, StageRecord, read_cell, timing

if TYPE_CHECKING:
    from mlflow.entities import Run

REPORT_FILES = (SHARED_PAGE, LEADERBOARD, CODES)
# Tags of runs.
TRAINING = "hourglass.training"  # the token of the training that opened the run
FIRST_RUN = "hourglass.first_run"  # the training that the run was opened for
WEIGHTS = "hourglass.weights"  # the SHA-256 of the weights
REPORT = "hourglass.report"  # the data sets and models that a comparison covers
KIND = "hourglass.kind"  # "cell", "report", "study" or "trial"
RESOLVED = "latent_dim"  # earlier versions logged the setting, also where it has no effect
RECORDED = "hourglass.recorded"  # prefix of one tag per stage: the digest of its record


def record_cell(runs: Runs, cell: Cell, classified: bool = False, thorough: bool = False) -> str:
    """Complete the MLflow record of a cell, and return a description of the changes.

    A new run is opened if no run of the training agrees with the record. A stage is skipped if the
    run has a tag with the digest of its record. If `thorough` is true, its artifacts must exist as
    well. If `classified` is true, the table of `hourglass classify` is recorded.
    """
    record = read_cell(cell, classified)
    with runs.lock():
        run = next((run for run in _runs_of(runs, record) if _agrees(run, record)), None)
        done = "completed" if run else "recorded"
        if not run:
            run = _open_run(runs, record)
    missing = [stage for stage in record.stages if _lacks(runs, run, stage, thorough)]
    if missing:
        runs.add_dataset(run, record.prepared.card)
    for stage in missing:
        _write(runs, run, record, stage)
    run_id = run.info.run_id
    if tags := _new_tags(run, record):
        runs.tag(run_id, tags)
    is_open = run.info.status != "FINISHED"
    if is_open:
        runs.close(run_id, "FINISHED", run.info.end_time or timing(cell, "train").get("ended"))
    path = cell.tracking / "run_id"
    if not path.exists() and timing(cell, "train"):
        write_text(path, f"{run_id}\n")
    done = done if missing or is_open else "already there"
    return f"{done}, but {' and '.join(record.outdated)}" if record.outdated else done


def record_report(runs: Runs) -> str:
    """Write the grid comparison to its MLflow run, and return a description of the changes.

    Files of an earlier comparison of the same grid are replaced.
    """
    with LEADERBOARD.open(encoding="utf-8") as file:
        cells = [row for row in csv.DictReader(file) if row["baseline"] == "False"]
    data, models = (sorted({row[key] for row in cells}) for key in ("data", "model"))
    grid = {"data": ", ".join(data), "models": ", ".join(models)}
    digest = hashlib.sha256("".join(map(sha256, REPORT_FILES)).encode()).hexdigest()
    name, tag = " x ".join(grid.values()), f"{RECORDED}.compare"
    with runs.lock():
        found = runs.find(REPORT, name)
        run = found[0] if found else runs.create("report", {REPORT: name})
    run_id = run.info.run_id
    if (run.info.status, run.data.tags.get(tag)) == ("FINISHED", digest):
        return "already there"
    runs.add_params(run, grid)
    runs.upload(run_id, REPORT_FILES)
    tags = {KIND: "report", NOTE: descriptions.report_note(data, models)}
    runs.tag(run_id, {**tags, **provenance.tags(), tag: digest})
    runs.close(run_id, "FINISHED")
    return "completed" if found else "recorded"


def _runs_of(runs: Runs, record: CellRecord) -> Iterator["Run"]:
    """Yield the runs that may record the training of a cell, first the run that it opened."""
    yield from filter(None, (_active_run(runs, name) for name in record.training))
    for name in (*record.training, record.weights):
        yield from runs.find(TRAINING, name)
        yield from runs.find(FIRST_RUN, name)
    yield from runs.find(WEIGHTS, record.weights)


def _active_run(runs: Runs, run_id: str) -> "Run | None":
    """Return the run of this id, or None if it does not exist or was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        run = runs.client.get_run(run_id)
    except MlflowException as error:
        # With authentication, a server answers PERMISSION_DENIED if a run does not exist.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"):
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def _agrees(run: "Run", record: CellRecord) -> bool:
    """Return whether all params and metrics in both a run and a record are equal."""
    params, metrics = run.data.params, run.data.metrics
    return all(
        params.get(key, value) == value
        for stage in record.stages
        for key, value in stage.params.items()
        if key != RESOLVED
    ) and all(
        rounded(metrics.get(key, metrics.get(earlier_name(key), value))) == value
        for stage in record.stages
        for key, value in stage.metrics.items()
    )


def _new_tags(run: "Run", record: CellRecord) -> dict[str, str]:
    """Return the tags that a run lacks; a description that a person wrote is kept."""
    tags = {WEIGHTS: record.weights, KIND: "cell"}
    if note := descriptions.cell_note(record):
        tags[NOTE] = note
    return {key: value for key, value in tags.items() if key not in run.data.tags}


def _open_run(runs: Runs, record: CellRecord) -> "Run":
    """Create the run of a cell, with the tags and the start time of its training."""
    times = timing(record.cell, "train")
    names = {FIRST_RUN: record.training[0] if record.training else record.weights}
    tags = {**names, WEIGHTS: record.weights, **times.get("environment", {})}
    return runs.create(record.cell.name, tags, times.get("started"))


def _lacks(runs: Runs, run: "Run", record: StageRecord, thorough: bool) -> bool:
    """Return whether a run lacks the record of a stage, or part of it."""
    if run.data.tags.get(f"{RECORDED}.{record.stage}") != record.digest():
        return True
    if not thorough:
        return False
    artifacts = {
        file.path
        for folder in {folder for _, folder in record.files}
        for file in runs.client.list_artifacts(run.info.run_id, folder or None)
    }
    wanted = {f"{folder}/{path.name}".lstrip("/") for path, folder in record.files}
    return not wanted <= artifacts or bool(record.detector and not _model_id(runs, run.info.run_id))


def _write(runs: Runs, run: "Run", record: CellRecord, stage: StageRecord) -> None:
    """Add the missing entries of a stage's record to a run, and finally its digest as a tag."""
    run_id = run.info.run_id
    model_id = _model_id(runs, run_id) if stage.detector or stage.stage == "evaluate" else ""
    measured: dict[str, str] = {}
    if model_id and stage.stage == "evaluate":
        card = record.prepared.card
        measured = {"model_id": model_id, "dataset_name": card["data"]}
        measured["dataset_digest"] = dataset_digest(card)
    runs.add_params(run, stage.params)
    curves = [point for row in stage.history for point in epoch_points(row)]
    known = {point[:2] for point in runs.points(run, (name for name, *_ in curves))}
    values = [(name, 0, value) for name, value in (stage.metrics | stage.latest).items()
              if run.data.metrics.get(name) != value]  # fmt: skip
    present = runs.points(run, (name for name, *_ in values))
    new = [point for point in curves if point[:2] not in known]
    points = [*new, *(point for point in values if point not in present)]
    runs.log(run_id, points, measured=measured)
    for path, folder in stage.files:
        runs.upload(run_id, [path], folder or None)
    if stage.detector and not model_id:
        _log_model(run_id, record, stage)
    runs.tag(run_id, {f"{RECORDED}.{stage.stage}": stage.digest()})


def _model_id(runs: Runs, run_id: str) -> str:
    """Return the id of a run's complete model, or ""; a killed process leaves an incomplete one."""
    outputs = runs.client.get_run(run_id).outputs
    models: list[Any] = outputs.model_outputs if outputs else []
    ids = (each.model_id for each in models)
    return next((id for id in ids if runs.client.get_logged_model(id).status == "READY"), "")


def _log_model(run_id: str, record: CellRecord, stage: StageRecord) -> None:
    """Log the files of the detector, and no others, as an MLflow model."""
    from hourglass.tracking import logged_model

    with tempfile.TemporaryDirectory() as folder:
        for path in stage.detector:
            shutil.copy(path, folder)
        example = record.prepared.x("calibration")
        epochs = len(record.stages[0].history)
        card = record.prepared.card
        logged_model.log(run_id, record.cell, epochs, Path(folder), card, example)
