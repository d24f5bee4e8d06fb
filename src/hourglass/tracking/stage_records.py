"""What each stage records of a cell, a part each: read from the files that it has left."""

import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hourglass.core.atomic import sha256
from hourglass.core.paths import Cell

LONGEST = 6000  # characters that MLflow takes of a param
TIMES = ("seconds", "samples_per_second")
EVALUATED = (
    "metrics.json",
    "roc.csv",
    "precision_recall.csv",
    "thresholds.csv",
    "by_class.csv",
    "mistakes.csv",
)
STUDIED = ("tables", "figures")  # folders of a study


@dataclass(frozen=True)
class Part:
    """Hold what one stage records.

    A row whose params or metrics differ is another row; of `latest` the last value counts. `files`
    are pairs of a path and the folder among the row's artifacts.
    """

    stage: str
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    latest: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)
    detector: list[str] = field(default_factory=list)  # files of the detector that this stage made

    def receipt(self) -> str:
        """Return a digest of all that is recorded, which says in a row that all of it is there."""
        known = {**asdict(self), "files": [(Path(path).name, to) for path, to in self.files]}
        digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
        for path, _ in self.files:
            digest.update(sha256(Path(path)).encode())
        return digest.hexdigest()


def training(cell: Cell) -> Part:
    """Return what `train` records."""
    settings = yaml.safe_load((cell / "train/settings.yaml").read_text(encoding="utf-8"))
    with (cell / "train/history.csv").open(encoding="utf-8") as file:
        history = [
            {key: value if key == "phase" else float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
    summary, times = training_file(cell), timing(cell, "train")
    return Part(
        stage="train",
        params=settings_params(settings),
        metrics={key: value for key, value in summary.items() if key != "data"},
        latest={key: times[key] for key in TIMES if key in times},
        history=history,
        files=_files(cell.output("train"), ("settings.yaml", "history.csv", "network.json")),
    )


def training_file(cell: Cell) -> dict[str, Any]:
    """Return what training.json holds."""
    return _json(cell / "train/training.json")


def timing(cell: Cell, stage: str) -> dict[str, Any]:
    """Return when and how fast a stage ran; {} if that is unknown, as after `dvc pull`.

    DVC does not track these files, so those of an earlier training may still be there.
    """
    train, own = cell.tracking / "train.json", cell.tracking / f"{stage}.json"
    if not train.exists() or not own.exists():
        return {}
    weights = sha256(cell / "train/weights.safetensors")
    return _json(own) if _json(train).get("weights") == weights else {}


def calibration(cell: Cell) -> Part:
    """Return what `calibrate-threshold` records, with the detector that it has made."""
    from hourglass.detection.detector import detector_files  # imports torch
    from hourglass.detection.scorers import Scorer
    from hourglass.detection.threshold import Threshold

    threshold = Threshold.read(cell / "calibrate/threshold.json")
    described = json.loads((cell / "calibrate/detector.json").read_text(encoding="utf-8"))["score"]
    return Part(
        stage="calibrate-threshold",
        params={**Scorer.from_description(described).params(), **threshold.params()},
        metrics={"threshold": threshold.value},
        detector=[str(path) for path in detector_files(cell)],
    )


def evaluation(cell: Cell) -> Part:
    """Return what `evaluate` records."""
    found = json.loads((cell / "evaluate/metrics.json").read_text(encoding="utf-8"))
    figures = sorted((cell / "evaluate/figures").iterdir())
    pictures = _files(cell / "evaluate/figures", [path.name for path in figures], "figures")
    return Part(
        "evaluate", metrics=found, files=[*pictures, *_files(cell.output("evaluate"), EVALUATED)]
    )


def codes(cell: Cell) -> Part:
    """Return what `study` records."""
    folder = cell / "study"
    times = timing(cell, "study")
    files = sorted(file for name in STUDIED for file in (folder / name).iterdir())
    kept = [*files, folder / "metrics.json"]
    return Part(
        stage="study",
        metrics=json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
        latest={key: value for key, value in times.items() if key.startswith("query_")},
        files=[(str(path), "study") for path in kept],
    )


def classification(cell: Cell) -> Part:
    """Return what `classify` records: a metric a row, such as test_error_pretrained_knn_all."""
    with (cell / "classification.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    largest = max(int(row["labels"]) for row in rows)
    found = {}
    for row in rows:
        size = "all" if int(row["labels"]) == largest else row["labels"]
        found[f"test_error_{row['features']}_{row['classifier']}_{size}"] = float(row["test_error"])
    return Part("classify", latest=found, files=_files(cell.folder, ["classification.csv"]))


def settings_params(settings: dict[str, Any]) -> dict[str, str]:
    """Return MLflow params of a cell's settings: flat, under the names that the YAML files use."""
    flat = {key: settings[key] for key in ("data", "model", "seed")}
    flat |= settings["init_args"] | settings["training"]
    flat |= {f"trainer.{key}": value for key, value in settings["trainer"].items()}
    return {key: str(value)[:LONGEST] for key, value in flat.items()}


def _files(folder: Path, names: Iterable[str], to: str = "") -> list[tuple[str, str]]:
    return [(str(folder / name), to) for name in names]


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
