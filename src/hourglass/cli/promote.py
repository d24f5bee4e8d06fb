"""Command `promote`: register a calibrated cell in MLflow, as champion if it is better."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.paths import Cell, root
from hourglass.core.progress import step
from hourglass.data.prepared_data import Prepared

if TYPE_CHECKING:
    from hourglass.detection.detector import Detector
    from hourglass.serving.registry import Registry


def promote(data: str, model: str, force: bool = False) -> str:
    """Register a detector in MLflow, and make it champion if it beats the current champion.

    Weights, threshold, scaling and input schema become a version of the registered model
    `hourglass-<data>`. The alias `champion` moves to this version if its AUROC on the test split is
    significantly higher than the champion's: the 95 % interval of the difference, from a paired
    bootstrap of the test samples, lies above 0. The first version becomes champion. The decision
    and its reason are printed and stored in the version's tag `decision`. A detector is registered
    only once.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        force: make the detector champion regardless of the comparison

    Examples:
        hourglass promote digits denoising

    """
    cell = Cell(data, model)
    from hourglass.detection.detector import INPUTS, Detector

    detector, prepared = Detector.of_cell(cell), Prepared.open(cell.prepared)
    if any(detector.inputs[name] != prepared.card[name] for name in INPUTS):
        raise UserError(
            f"{cell.name} was calibrated on data other than {prepared.folder} holds; run `dvc "
            "repro` first."
        )
    test = prepared.split("test")
    if not force and (test.anomaly.all() or not test.anomaly.any()):
        raise UserError(
            f"the test split of {data} has no labelled anomalies, so there is no AUROC to compare; "
            "add --force to make this detector champion anyway."
        )
    scores = detector.scoring(test.x)
    from hourglass.tracking.time_limit import StoreUnavailable

    try:
        with step(f"promote {cell.name}"):
            decision = _decide(cell, detector, prepared, scores, force)
    except StoreUnavailable as error:
        raise UserError(f"{error}; run `hourglass promote` again when it is available.") from None
    print(decision)
    return decision


def _decide(
    cell: Cell, detector: "Detector", prepared: Prepared, scores: np.ndarray, force: bool
) -> str:
    """Register a detector, compare it with the champion, and return the decision.

    `scores`, (N,), are those of the test split. Raises StoreUnavailable.
    """
    from hourglass.serving.registry import Registry
    from hourglass.tracking.connection import connect, store_errors

    with store_errors("register the detector"):
        registry = Registry(*connect(root()), cell.data)
        version = _registered_version(registry, cell, detector, prepared, scores)
        champion = registry.champion()
    new = f"version {version.version} ({cell.name})"
    if champion is not None and champion.version == version.version:
        return f"{registry.name} {new} is already champion."
    old = f"version {champion.version} ({champion.tags.get('cell')})" if champion else ""
    is_promoted, reason = True, "by force" if champion else "as the first one"
    if champion and not force:
        is_promoted, reason = _compare(registry, champion, prepared, scores)
    if is_promoted:
        instead = f" instead of {old}" if champion else ""
        decision = f"{registry.name} {new} is now champion{instead}, {reason}."
    else:
        decision = f"{registry.name} {old} remains champion, not {new}, {reason}."
    with store_errors("record the decision"):
        registry.decide(version, decision, is_promoted)
    return decision


def _registered_version(
    registry: "Registry", cell: Cell, detector: "Detector", prepared: Prepared, scores: np.ndarray
) -> Any:
    """Return the version of a cell's detector; record and register the detector if there is none.

    `scores`, (N,), are those of the test split.
    """
    from hourglass.detection.detector import detector_files
    from hourglass.evaluation.metrics import detection
    from hourglass.tracking import provenance
    from hourglass.tracking.descriptions import version_note
    from hourglass.tracking.entries import rounded
    from hourglass.tracking.logged_model import DETECTOR, detector_digest
    from hourglass.tracking.record import record_cell
    from hourglass.tracking.runs import Runs

    digest = detector_digest(detector_files(cell))
    if version := registry.version(digest):
        return version
    model = registry.logged(digest)
    if model is None:
        record_cell(Runs(root()), cell)
        model = registry.logged(digest)
    if model is None:
        raise UserError(
            f"the MLflow run of {cell.name} holds a different detector from "
            f"{cell.folder.as_posix()}; calibrate it again."
        )
    metrics = detection(scores, prepared.split("test").anomaly)
    tags = {
        "cell": cell.name,
        DETECTOR: digest,
        "data_sha256": prepared.card["sha256"],
        "weights_sha256": detector.weights_sha256,
        "git_commit": provenance.tags().get("mlflow.source.git.commit", "none"),
    }
    tags |= {
        key: str(rounded(metrics[key])) for key in ("AUROC", "average_precision") if key in metrics
    }
    return registry.register(model, tags, version_note(cell, metrics))


def _compare(
    registry: "Registry", champion: Any, prepared: Prepared, scores: np.ndarray
) -> tuple[bool, str]:
    """Return True if scores of the test split, (N,), beat the champion's, and the reason."""
    from hourglass.detection.detector import Detector
    from hourglass.evaluation.metrics.paired import differences
    from hourglass.tracking.connection import store_errors

    if champion.tags.get("data_sha256") != prepared.card["sha256"]:
        return False, (
            "as the champion was registered with other samples, so the two cannot be "
            "compared (add --force to replace it)"
        )
    test = prepared.split("test")
    with tempfile.TemporaryDirectory() as folder:
        with store_errors("download the champion"):
            files = registry.fetch(champion, Path(folder))
        detector = Detector.load(files)
        champion_scores = detector.scoring(test.x)
    metrics = differences(scores, champion_scores, test.anomaly)
    auroc, precision = metrics["AUROC"], metrics["average_precision"]
    verdict = "lies above 0" if auroc.better else "does not lie above 0"
    return auroc.better, (
        f"as the 95 % interval of the difference in AUROC on {len(scores):,} test samples "
        f"{verdict}: {auroc} (average precision: {precision})"
    )
