"""What the stages record of a cell: all of it is read from the cell's files.

A stage and `hourglass record` tell MLflow the same, because both take it from here.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hourglass.data.packed import Prepared
from hourglass.files import sha256
from hourglass.tracking import evidence
from hourglass.workspace import CODES, LEADERBOARD, PAGE, Cell

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
PRIVATE = ("synthetic",)  # tables that do not go to MLflow: made-up rows tell of real ones


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


@dataclass(frozen=True)
class Facts:
    """Hold all that is recorded of a cell."""

    name: str
    run_id: str  # of the training: its run, or where none answered then, its token
    dataset: dict[str, Any]
    card: dict[str, Any]  # of the prepared data
    example: str  # samples of which the detector's example is made
    made: dict[str, Any]
    parts: list[Part]
    stale: list[str] = field(default_factory=list)  # what there is of other trainings, and why

    def told(self) -> dict[str, Any]:
        """Return the arguments of `Record.complete`, as JSON takes them."""
        parts = [{**asdict(part), "receipt": part.receipt()} for part in self.parts]
        told = {key: value for key, value in vars(self).items() if key not in ("parts", "stale")}
        return {**told, "parts": parts}


def facts(cell: Cell, classified: bool = False) -> Facts:
    """Return all that the files of a trained cell say of its present training.

    What is left of an earlier training or calibration, until its stage has run again, is no part of
    it; nor is the table of `classify`, unless it was `classified` just now.
    """
    cell.need_training()
    prepared, made = Prepared.open(cell.prepared), training_file(cell).get(MADE, {})
    parts, stale = [training(cell)], []
    for stage, doubt, part in LATER:
        reason = doubt(cell)
        if reason is None:
            parts.append(part(cell))
        elif reason:
            stale.append(f"{stage} {reason}")
    if classified:
        parts.append(classification(cell))
    return Facts(
        name=cell.name,
        run_id=(cell / "run_id").read_text(encoding="utf-8").strip(),
        dataset=dataset(prepared.card),
        card=prepared.card,
        example=str(prepared.folder / "calibration" / "x.npy"),
        made=made,
        parts=parts,
        stale=stale,
    )


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
    kept = [str(file) for file in files if file.stem not in PRIVATE]
    kept += [str(folder / "metrics.json"), str(folder / "timing.json")]
    return Part(
        stage="study",
        metrics=json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
        latest={key: value for key, value in times.items() if key != evidence.WEIGHTS},
        files=[(path, "study") for path in kept],
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


# The later stages: why what they left is no part of the present cell (where nothing is left that is
# no news), and what they record.
LATER: tuple[tuple[str, Callable[[Cell], str | None], Callable[[Cell], Part]], ...] = (
    ("calibrate-threshold", evidence.of_calibration, calibration),
    ("evaluate", evidence.of_evaluation, evaluation),
    ("study", evidence.of_study, codes),
)


def comparison() -> dict[str, Any]:
    """Return what `compare` records: the grid that the leaderboard is of, and its files."""
    with LEADERBOARD.open(encoding="utf-8") as file:
        cells = [row for row in csv.DictReader(file) if row["baseline"] == "False"]
    part = Part("compare", files=[(str(path), "") for path in (PAGE, LEADERBOARD, CODES)])
    return {
        "data": sorted({row["data"] for row in cells}),
        "models": sorted({row["model"] for row in cells}),
        "paths": [path for path, _ in part.files],
        "receipt": part.receipt(),
    }


def settings_params(settings: dict[str, Any]) -> dict[str, str]:
    """Return MLflow params of a cell's settings: flat, under the names that the YAML files use."""
    flat = {key: settings[key] for key in ("data", "model", "seed")}
    flat |= settings["init_args"] | settings["training"]
    flat |= {f"trainer.{key}": value for key, value in settings["trainer"].items()}
    return {key: str(value)[:LONGEST] for key, value in flat.items()}


def dataset(card: dict[str, Any]) -> dict[str, Any]:
    """Return what identifies a prepared data set in MLflow; the digest is 36 characters at most."""
    return {
        "name": card["data"],
        "digest": card["sha256"][:36],
        "source": card["source"]["name"],
        "counts": card["splits"],
    }


def _files(folder: Path, names: Iterable[str], to: str = "") -> list[tuple[str, str]]:
    return [(str(folder / name), to) for name in names]
