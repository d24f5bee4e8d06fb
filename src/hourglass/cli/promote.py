"""Command `promote`: register a calibrated cell in MLflow, as champion if it is better."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.paths import Cell, root
from hourglass.data.prepared_data import Prepared, Samples

if TYPE_CHECKING:
    from hourglass.detection.detector import Detector
    from hourglass.evaluation.metrics.paired import Difference
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

    """
    cell = Cell(data, model)
    cell.need("train", "calibrate-threshold")
    prepared = Prepared.open(cell.prepared)
    from hourglass.detection.detector import Detector

    candidate = Candidate(cell, prepared, Detector.of_cell(cell))
    candidate.check(force)
    registry = _registry(data)
    version = candidate.register(registry)
    champion = registry.champion()
    if champion is not None and champion.version == version.version:
        decision = f"{registry.name} version {version.version} ({cell.name}) is already champion."
    else:
        is_promoted, reason = _decide(registry, candidate, champion, force)
        decision = _sentence(registry, candidate, version, champion, is_promoted, reason)
        registry.decide(version, decision, is_promoted)
    print(decision)
    return decision


def _registry(data: str) -> "Registry":
    """Return the registry; raise a UserError if its store is unavailable."""
    from hourglass.serving.registry import Registry
    from hourglass.tracking.connection import StoreUnavailable, connect

    try:
        return Registry(*connect(root()), data)
    except StoreUnavailable as error:
        raise UserError(f"{error}; run `hourglass promote` again when it is available.") from None


@dataclass(frozen=True)
class Candidate:
    """A cell's detector with its prepared data."""

    cell: Cell
    prepared: Prepared
    detector: "Detector"

    @property
    def digest(self) -> str:
        """Return the digest of the detector's files."""
        from hourglass.detection.detector import detector_files
        from hourglass.tracking.logged_model import detector_digest

        return detector_digest(detector_files(self.cell))

    @property
    def test(self) -> Samples:
        """Return the test split."""
        return self.prepared.split("test")

    @property
    def labelled(self) -> bool:
        """Return True if the test split holds both normal samples and anomalies."""
        return bool(self.test.anomaly.any() and not self.test.anomaly.all())

    def check(self, force: bool) -> None:
        """Raise a UserError if the prepared data have changed, or AUROC cannot be computed."""
        from hourglass.detection.detector import INPUTS

        if any(self.detector.inputs[name] != self.prepared.card[name] for name in INPUTS):
            raise UserError(
                f"{self.cell.name} was calibrated on data other than {self.prepared.folder} holds; "
                "run `dvc repro` first."
            )
        if not self.labelled and not force:
            raise UserError(
                f"the test split of {self.cell.data} has no labelled anomalies, so there is no "
                "AUROC to compare; add --force to make this detector champion anyway."
            )

    def register(self, registry: "Registry") -> Any:
        """Return the registered version of the detector; register it first if there is none."""
        version = registry.version(self.digest)
        if version is None:
            model = registry.logged(self.digest) or self._log(registry)
            version = registry.register(model, self._tags())
        return version

    def _log(self, registry: "Registry") -> Any:
        """Record the cell in MLflow, as `calibrate-threshold` does, and return the logged model."""
        from hourglass.tracking.record import record_cell
        from hourglass.tracking.runs import Runs

        record_cell(Runs(root()), self.cell)
        model = registry.logged(self.digest)
        if model is None:
            raise UserError(
                f"the MLflow run of {self.cell.name} holds a different detector from "
                f"{self.cell.folder.as_posix()}; calibrate it again."
            )
        return model

    def _tags(self) -> dict[str, str]:
        from hourglass.tracking import provenance
        from hourglass.tracking.logged_model import DETECTOR

        commit = provenance.tags().get("mlflow.source.git.commit", "none")
        tags = {
            "cell": self.cell.name,
            DETECTOR: self.digest,
            "data_sha256": self.prepared.card["sha256"],
            "weights_sha256": self.detector.weights_sha256,
            "git_commit": commit,
        }
        return tags | {key: str(value) for key, value in self._metrics().items()}

    def _metrics(self) -> dict[str, float]:
        from hourglass.evaluation.metrics import detection

        metrics = detection(self.scores(), self.test.anomaly, intervals=False)
        return {key: metrics[key] for key in ("AUROC", "average_precision") if key in metrics}

    def scores(self, other: "Detector | None" = None) -> np.ndarray:
        """Return the scores of the test split, (N,), from `other` or else from this detector."""
        return (other or self.detector).scoring(self.test.x)


def _decide(
    registry: "Registry", candidate: Candidate, champion: Any | None, force: bool
) -> tuple[bool, str]:
    """Return True if the candidate becomes champion, and the reason as part of a sentence."""
    if champion is None:
        return True, "as the first one"
    if force:
        return True, "by force"
    if champion.tags.get("data_sha256") != candidate.prepared.card["sha256"]:
        return False, (
            "as the champion was registered with other samples, so the two cannot be "
            "compared (add --force to replace it)"
        )
    differences = _compare(registry, candidate, champion)
    auroc, precision = differences["AUROC"], differences["average_precision"]
    verdict = "lies above 0" if auroc.better else "does not lie above 0"
    return auroc.better, (
        f"as the 95 % interval of the difference in AUROC on {len(candidate.test.anomaly):,} test "
        f"samples {verdict}: {auroc} (average precision: {precision})"
    )


def _compare(registry: "Registry", candidate: Candidate, champion: Any) -> "dict[str, Difference]":
    """Return the differences in metrics between the candidate and the champion."""
    from hourglass.detection.detector import Detector
    from hourglass.evaluation.metrics.paired import differences

    with tempfile.TemporaryDirectory() as folder:
        detector = Detector.load(registry.fetch(champion, Path(folder)))
        champion_scores = candidate.scores(detector)
    return differences(candidate.scores(), champion_scores, candidate.test.anomaly)


def _sentence(
    registry: "Registry",
    candidate: Candidate,
    version: Any,
    champion: Any | None,
    is_promoted: bool,
    reason: str,
) -> str:
    """Return the decision and its reason as one sentence."""
    new = f"version {version.version} ({candidate.cell.name})"
    old = f"version {champion.version} ({champion.tags.get('cell')})" if champion else ""
    if is_promoted:
        instead = f" instead of {old}" if champion else ""
        return f"{registry.name} {new} is now champion{instead}, {reason}."
    return f"{registry.name} {old} remains champion, not {new}, {reason}."
