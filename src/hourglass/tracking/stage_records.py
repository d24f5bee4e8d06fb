"""The content of a cell's MLflow record, read from the output files of its stages."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.row_privacy import uploadable_files
from hourglass.data.prepared_data import Prepared
from hourglass.tracking.entries import section, settings_params

WEIGHTS = "weights.safetensors"
TIMING_METRICS = ("seconds", "samples_per_second")
EVALUATION_FILES = (
    "metrics.json",
    "roc.csv",
    "precision_recall.csv",
    "thresholds.csv",
    "by_class.csv",
    "mistakes.csv",
)
SERIES_FILES = ("events.csv",)  # of time series only
STUDY_FOLDERS = ("tables", "figures")
# The files of a detector by the stage that writes them, as `detection.detector.detector_files`
# lists them; that module imports torch, which takes longer than recording a stage.
DETECTOR_FILES = {
    "train": (WEIGHTS, "network.json"),
    "calibrate-threshold": ("detector.json", "reference.safetensors", "threshold.json"),
}


@dataclass(frozen=True)
class StageRecord:
    """The record of one stage of a cell."""

    stage: str
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)  # cannot change within a run
    latest: dict[str, float] = field(default_factory=dict)  # metrics that may change within a run
    history: list[dict[str, Any]] = field(default_factory=list)  # one row per epoch
    files: list[tuple[Path, str]] = field(default_factory=list)  # path and artifact folder
    detector: list[Path] = field(default_factory=list)  # files to log as a model

    def digest(self) -> str:
        """Return a digest of the content; a run tagged with it holds the complete record."""
        files = [(path.name, folder, sha256(path)) for path, folder in self.files]
        content = asdict(replace(self, files=[], detector=[])) | {
            "files": files,
            "detector": [sha256(path) for path in self.detector],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class CellRecord:
    """The records of the stages that belong to the current weights of a cell."""

    cell: Cell
    training: list[str]  # run id and token of the training, if known
    weights: str  # SHA-256
    prepared: Prepared
    stages: list[StageRecord]
    outdated: list[str]  # reasons for leaving out other stages


def read_cell(cell: Cell, classified: bool = False) -> CellRecord:
    """Return the record of a trained cell.

    A stage is left out if its output belongs to an earlier training or calibration. The table of
    `classify` is included only if `classified`, as its age is unknown otherwise.
    """
    cell.require("train")
    prepared, stages, outdated = Prepared.open(cell.prepared), [_training(cell)], []
    trained_on = _json(cell / "train/training.json").get("data")
    if trained_on and trained_on != prepared.card["sha256"]:
        raise UserError(
            f"it was trained on other data than {cell.prepared.as_posix()}; train it again."
        )
    for stage, read in LATER_STAGES.items():
        if not cell.output(stage).exists():
            continue
        if outdated_input := _outdated_input(cell, stage):
            outdated.append(f"{stage} belongs to an earlier {outdated_input}")
        elif record := read(cell):
            stages.append(record)
    if classified:
        stages.append(_classification(cell))
    return CellRecord(
        cell=cell,
        training=_training_names(cell),
        weights=sha256(cell / f"train/{WEIGHTS}"),
        prepared=prepared,
        stages=[_without_private_files(record, prepared.card) for record in stages],
        outdated=outdated,
    )


def timing(cell: Cell, stage: str) -> dict[str, Any]:
    """Return the timing file of a stage; {} if there is none for the current weights.

    DVC does not track timing files: `dvc pull` does not restore them, and those of an earlier
    training may still exist.
    """
    train, path = cell.tracking / "train.json", cell.tracking / f"{stage}.json"
    if not train.exists() or not path.exists():
        return {}
    weights = sha256(cell / f"train/{WEIGHTS}")
    return _json(path) if _json(train).get("weights") == weights else {}


def _training_names(cell: Cell) -> list[str]:
    """Return the run id and the token of the current training, as far as they are known."""
    times, path = timing(cell, "train"), cell.tracking / "run_id"
    names = [path.read_text(encoding="utf-8").strip()] if times and path.exists() else []
    return [*names, *filter(None, [times.get("token")])]


def _without_private_files(record: StageRecord, card: dict[str, Any]) -> StageRecord:
    allowed = set(uploadable_files((path for path, _ in record.files), card))
    return replace(
        record, files=[(path, folder) for path, folder in record.files if str(path) in allowed]
    )


def _training(cell: Cell) -> StageRecord:
    folder, times = cell.output("train"), timing(cell, "train")
    summary = _json(folder / "training.json")
    settings = yaml.safe_load((folder / "settings.yaml").read_text("utf-8"))
    settings["latent_dim"] = _json(folder / "network.json")["init_args"]["latent_dim"]
    history = [
        {key: value if key == "phase" else float(value) for key, value in row.items()}
        for row in _csv(folder / "history.csv")
    ]
    return StageRecord(
        "train",
        params=settings_params(settings),
        metrics=section("training", {key: summary[key] for key in summary if key != "data"}),
        latest=section(
            "timing", {f"train_{key}": times[key] for key in TIMING_METRICS if key in times}
        ),
        history=history,
        files=_files(folder, ("settings.yaml", "history.csv", "network.json")),
    )


def _calibration(cell: Cell) -> StageRecord:
    from hourglass.detection.threshold import Threshold

    threshold = Threshold.read(cell / "calibrate/threshold.json")
    params = _score_params(cell) | threshold.params()
    metrics = {"threshold": threshold.value}
    if pixels := _json(cell / "calibrate/detector.json").get("pixels", {}).get("threshold"):
        metrics["pixel_threshold"] = pixels["value"]
        params |= {f"pixel_{key}": str(value) for key, value in pixels["settings"].items()}
    return StageRecord(
        "calibrate-threshold",
        params={key: value for key, value in params.items() if value != "None"},
        metrics=section("calibration", metrics),
        detector=[
            cell.output(stage) / name for stage, names in DETECTOR_FILES.items() for name in names
        ],
    )


def _score_params(cell: Cell) -> dict[str, str]:
    """Return the params of the scorer, if possible from the timing file of the calibration.

    Building the scorer from detector.json would import torch.
    """
    path = cell / "calibrate/detector.json"
    times = timing(cell, "calibrate-threshold")
    if times.get("detector") == sha256(path):
        params: dict[str, str] = times["score_params"]
        return params
    from hourglass.detection.scorers import Scorer

    return Scorer.from_description(_json(path)["score"]).params()


def _evaluation(cell: Cell) -> StageRecord:
    folder = cell.output("evaluate")
    figures = [path.name for path in sorted((folder / "figures").iterdir())]
    tables = [*EVALUATION_FILES, *(name for name in SERIES_FILES if (folder / name).exists())]
    return StageRecord(
        "evaluate",
        metrics=section("test", _json(folder / "metrics.json")),
        files=[*_files(folder / "figures", figures, "figures"), *_files(folder, tables)],
    )


def _study(cell: Cell) -> StageRecord | None:
    folder, times = cell.output("study"), timing(cell, "study")
    if not (folder / "inputs.json").exists():  # `study` is off for the data set
        return None
    files = sorted(file for name in STUDY_FOLDERS for file in (folder / name).iterdir())
    return StageRecord(
        "study",
        metrics=section("codes", _json(folder / "metrics.json")),
        latest=section("timing", {key: times[key] for key in times if key.startswith("query_")}),
        files=[(path, "study") for path in (*files, folder / "metrics.json")],
    )


def _classification(cell: Cell) -> StageRecord:
    """Return one metric per row of the table, such as test_error_pretrained_knn_all."""
    rows = _csv(cell / "classification.csv")
    largest, errors = max(int(row["labels"]) for row in rows), {}
    for row in rows:
        size = "all" if int(row["labels"]) == largest else row["labels"]
        name = f"test_error_{row['features']}_{row['classifier']}_{size}"
        errors[name] = float(row["test_error"])
    files = _files(cell.folder, ["classification.csv"])
    return StageRecord("classify", latest=section("codes", errors), files=files)


# The stages after train, and functions that read their outputs.
LATER_STAGES: dict[str, Callable[[Cell], StageRecord | None]] = {
    "calibrate-threshold": _calibration,
    "evaluate": _evaluation,
    "study": _study,
}


def _outdated_input(cell: Cell, stage: str) -> str:
    """Return the input of a stage that changed after its output was written, or ""."""
    weights, detector = sha256(cell / f"train/{WEIGHTS}"), cell / "calibrate/detector.json"
    if stage == "study":
        inputs = cell / "study/inputs.json"
        return "" if not inputs.exists() or _json(inputs)[WEIGHTS] == weights else "training"
    calibrated = detector.exists() and _json(detector)["files"][WEIGHTS] == weights
    if stage == "calibrate-threshold":
        return "" if calibrated else "training"
    evaluated = _json(cell / "evaluate/inputs.json")["detector.json"]
    return "" if calibrated and evaluated == sha256(detector) else "calibration"


def _files(folder: Path, names: Iterable[str], target: str = "") -> list[tuple[Path, str]]:
    return [(folder / name, target) for name in names]


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
