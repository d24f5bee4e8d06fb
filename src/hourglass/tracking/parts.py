"""What each stage records of a cell, a part each: read from the files that it has left."""

import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hourglass.files import sha256
from hourglass.tracking import evidence
from hourglass.workspace import Cell

LONGEST = 6000  # characters that MLflow takes of a param
TIMES = ("seconds", "samples_per_second")
MADE = "made"  # in training.json: how, when and of which data a training was made
EVALUATED = (
    "metrics.json",
    "roc.csv",
    "precision_recall.csv",
    "timing.json",
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
    detector: str = ""  # the folder of the detector that this stage has made

    def receipt(self) -> str:
        """Return a digest of all that is recorded, which says in a row that all of it is there."""
        known = {**asdict(self), "files": [(Path(path).name, to) for path, to in self.files]}
        digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
        for path, _ in self.files:
            digest.update(sha256(Path(path)).encode())
        return digest.hexdigest()


def training(cell: Cell) -> Part:
    """Return what `train` records."""
    settings = yaml.safe_load((cell / "settings.yaml").read_text(encoding="utf-8"))
    with (cell / "history.csv").open(encoding="utf-8") as file:
        history = [
            {key: value if key == "phase" else float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
    summary = {key: value for key, value in training_file(cell).items() if key != MADE}
    return Part(
        stage="train",
        params=settings_params(settings),
        metrics={key: value for key, value in summary.items() if key not in TIMES},
        latest={key: value for key, value in summary.items() if key in TIMES},
        history=history,
        files=_files(cell.folder, ("settings.yaml", "history.csv", "network.json")),
    )


def training_file(cell: Cell) -> dict[str, Any]:
    """Return what training.json holds."""
    found: dict[str, Any] = json.loads((cell / "training.json").read_text(encoding="utf-8"))
    return found


def calibration(cell: Cell) -> Part:
    """Return what `calibrate-threshold` records, with the detector that it has made."""
    from hourglass.detection.threshold import Threshold
    from hourglass.scorers import Scorer  # which imports torch

    threshold = Threshold.read(cell / "threshold.json")
    described = json.loads((cell / "detector.json").read_text(encoding="utf-8"))["score"]
    return Part(
        stage="calibrate-threshold",
        params={**Scorer.described(described).params(), **threshold.params()},
        metrics={"threshold": threshold.value},
        detector=str(cell.folder),
    )


def evaluation(cell: Cell) -> Part:
    """Return what `evaluate` records."""
    found = json.loads((cell / "metrics.json").read_text(encoding="utf-8"))
    figures = sorted((cell / "figures").iterdir())
    pictures = _files(cell / "figures", [path.name for path in figures], "figures")
    return Part("evaluate", metrics=found, files=[*pictures, *_files(cell.folder, EVALUATED)])


def codes(cell: Cell) -> Part:
    """Return what `study` records."""
    folder = cell / "study"
    times = json.loads((folder / "timing.json").read_text(encoding="utf-8"))
    files = sorted(file for name in STUDIED for file in (folder / name).iterdir())
    kept = [*files, folder / "metrics.json", folder / "timing.json"]
    return Part(
        stage="study",
        metrics=json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
        latest={key: value for key, value in times.items() if key != evidence.WEIGHTS},
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
