"""All that is recorded of a cell: the parts that are of its present training.

A stage and `hourglass record` tell MLflow the same, because both take it from here.
"""

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hourglass.core.atomic import sha256
from hourglass.core.paths import CODES, LEADERBOARD, SHARED_PAGE, Cell
from hourglass.core.privacy import uploadable_files
from hourglass.data.prepared import Prepared
from hourglass.tracking import staleness
from hourglass.tracking.stage_records import (
    Part,
    calibration,
    classification,
    codes,
    evaluation,
    timing,
    training,
)


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
    cell.need("train")
    prepared, made = Prepared.open(cell.prepared), timing(cell, "train")
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
        run_id=_run_id(cell),
        dataset=dataset(prepared.card),
        card=prepared.card,
        example=str(prepared.folder / "calibration" / "x.npy"),
        made=made,
        parts=[_shared(part, prepared.card) for part in parts],
        stale=stale,
    )


def _run_id(cell: Cell) -> str:
    """Return the run of a cell's training; if it is unknown, the checksum of its weights.

    After `dvc pull` or `dvc checkout` the weights may be those of another run.
    """
    path = cell.tracking / "run_id"
    if path.exists() and timing(cell, "train"):
        return path.read_text(encoding="utf-8").strip()
    return sha256(cell / "train/weights.safetensors")


def _shared(part: Part, card: dict[str, Any]) -> Part:
    """Return a part with those of its files that may go to MLflow."""
    kept = set(uploadable_files((Path(path) for path, _ in part.files), card))
    return replace(part, files=[(path, to) for path, to in part.files if path in kept])


# The later stages: why what they left is no part of the present cell (where nothing is left that is
# no news), and what they record.
LATER: tuple[tuple[str, Callable[[Cell], str | None], Callable[[Cell], Part]], ...] = (
    ("calibrate-threshold", staleness.of_calibration, calibration),
    ("evaluate", staleness.of_evaluation, evaluation),
    ("study", staleness.of_study, codes),
)


def comparison() -> dict[str, Any]:
    """Return what `compare` records: the grid that the leaderboard is of, and its files."""
    with LEADERBOARD.open(encoding="utf-8") as file:
        cells = [row for row in csv.DictReader(file) if row["baseline"] == "False"]
    part = Part("compare", files=[(str(path), "") for path in (SHARED_PAGE, LEADERBOARD, CODES)])
    return {
        "data": sorted({row["data"] for row in cells}),
        "models": sorted({row["model"] for row in cells}),
        "paths": [path for path, _ in part.files],
        "receipt": part.receipt(),
    }


def dataset(card: dict[str, Any]) -> dict[str, Any]:
    """Return what identifies a prepared data set in MLflow; the digest is 36 characters at most."""
    return {
        "name": card["data"],
        "digest": card["sha256"][:36],
        "source": card["source"]["name"],
        "counts": card["splits"],
    }
