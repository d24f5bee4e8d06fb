"""A detector: all that it takes to judge new samples, and the files that hold it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from hourglass.core.atomic import atomic_file
from hourglass.core.checksums import file_checksums, verify_checksums, write_with_checksum
from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import Cell
from hourglass.data.scaling import Scaling
from hourglass.detection.attribution import Profile
from hourglass.detection.calibrators.conformal import p_values
from hourglass.detection.metadata import CARD, REFERENCE, THRESHOLD, read_card
from hourglass.detection.scorers import Scorer
from hourglass.detection.scoring import FittedScorer
from hourglass.detection.threshold import Threshold
from hourglass.networks import Network
from hourglass.networks.weights import CORRUPT_FILE_ERRORS, WEIGHTS, load
from hourglass.networks.weights import FILES as NETWORK_FILES

# Of a cell's folder; together they are the detector.
FILES = (*NETWORK_FILES, CARD, REFERENCE, THRESHOLD)
INPUTS = ("data", "sample_shape", "dtype", "feature_names", "scaling")  # of the data set's card


def detector_files(cell: Cell) -> list[Path]:
    """Return the paths of a cell's FILES: those of its network and those of its calibration."""
    network = [cell.output("train") / name for name in NETWORK_FILES]
    return network + [
        cell.output("calibrate-threshold") / name for name in (CARD, REFERENCE, THRESHOLD)
    ]


@dataclass(frozen=True)
class Detector:
    """Judge samples by a trained network, a scorer and a threshold."""

    inputs: dict[str, Any]  # what a sample is: those of the card's entries that INPUTS names
    scoring: FittedScorer
    profile: Profile
    calibration: np.ndarray  # (n,) scores of the normal calibration samples
    threshold: Threshold
    network: dict[str, str]  # SHA-256 of the network's files that all this was calibrated for

    @property
    def weights(self) -> str:
        """Return the SHA-256 of the network's weights."""
        return self.network[WEIGHTS]

    @property
    def feature_names(self) -> list[str]:
        """Return the names of a table's features, in order; of images none."""
        return list(self.inputs["feature_names"])

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return (C, H, W) of images or (F,) of a table."""
        return tuple(self.inputs["sample_shape"])

    @property
    def full_scale(self) -> float:
        """Return the value of white in an image, as the samples are scaled by it."""
        return float(self.scoring.scaling.scale)

    def judge(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return scores, (N,), and the contributions of features or pixels, (N, F) float32.

        A contribution is in standard deviations of that element's squared error on normal
        calibration samples. A score may be infinite or NaN where a sample's values are huge.
        """
        scores, contributions = self.scoring.beside(x, self.profile.contributions)
        return scores, contributions

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """Return how unusual the error of each feature or pixel is: (N, *S) -> (N, *S) float32."""
        return self.judge(x)[1].reshape(x.shape)

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Return the conformal p-value of each score, (N,): small ones speak against normality."""
        return p_values(self.calibration, scores)

    def write(self, folder: Path) -> None:
        """Write what calibration adds to a trained cell: the last three of FILES.

        detector.json speaks for all of them: it holds the SHA-256 of the others, those of the
        network's two files as they were when it was loaded.
        """
        arrays = {
            "calibration_scores": self.calibration,
            "error_mean": self.profile.mean,
            "error_scale": self.profile.scale,
            **{f"scorer.{key}": value for key, value in self.scoring.state.items()},
        }
        with atomic_file(folder / REFERENCE) as temporary:
            save_file({key: np.ascontiguousarray(each) for key, each in arrays.items()}, temporary)
        self.threshold.write(folder / THRESHOLD)
        inputs = {name: self.inputs[name] for name in INPUTS}
        files = {**self.network, **file_checksums(folder, [REFERENCE, THRESHOLD])}
        own = {"score": self.scoring.scorer.describe(), "files": files}
        write_with_checksum(folder / CARD, {**inputs, **own})

    @classmethod
    def of_cell(cls, cell: Cell) -> "Detector":
        """Return the detector of a cell; raises a UserError if it is not calibrated yet."""
        cell.need("train", "calibrate-threshold")
        return cls.load(cell.output("calibrate-threshold"), cell.output("train"))

    @classmethod
    def load(cls, folder: Path, network_folder: Path | None = None) -> "Detector":
        """Return the detector in a folder, its network from there or from `network_folder`.

        Nothing that is loaded can run code.

        Raises a UserError where a file is missing or damaged, or was made for other weights.
        """
        network_folder = network_folder or folder
        network = load(network_folder)
        try:
            card, threshold = read_card(folder)
            made_for = {name: card["files"][name] for name in NETWORK_FILES}
            changed = made_for != file_checksums(network_folder, NETWORK_FILES)
            verify_checksums(folder, {REFERENCE: card["files"][REFERENCE]})
            arrays = load_file(folder / REFERENCE)
            scaling = Scaling.from_dict(card["scaling"])
            profile = Profile(arrays["error_mean"], arrays["error_scale"])
            calibration = arrays["calibration_scores"]
            scorer = Scorer.described(card["score"])
            _check(card, network, scaling, arrays)
        except (*CORRUPT_FILE_ERRORS, SafetensorError) as error:
            raise UserError(
                f"{folder} holds no usable detector ({one_line(error)}); calibrate it again."
            ) from None
        if changed:
            raise UserError(
                f"{folder} was trained again since it was calibrated; calibrate it again."
            )
        state = {
            key.removeprefix("scorer."): value
            for key, value in arrays.items()
            if key.startswith("scorer.")
        }
        scoring = FittedScorer(network, scaling, scorer, state)
        return cls(card, scoring, profile, calibration, threshold, made_for)


def _check(
    card: dict[str, Any], network: Network, scaling: Scaling, arrays: dict[str, np.ndarray]
) -> None:
    """Raise a ValueError or TypeError where parts that can be read do not make up a detector."""
    shape, names = tuple(card["sample_shape"]), card["feature_names"]
    if list(shape) != list(network.init_args["sample_shape"]):
        raise ValueError(f"sample_shape is {shape!s:.40}, not that of the network")
    elements = math.prod(shape)
    if names != [] and not (len(names) == elements and all(type(each) is str for each in names)):
        raise ValueError(f"feature_names are not {elements} names")
    if not isinstance(card["data"], str) or np.dtype(card["dtype"]) not in (np.uint8, np.float32):
        raise ValueError(f"dtype is {card['dtype']!r:.40}")
    for each in (scaling.offset, scaling.scale):
        if each.shape not in ((), shape) or not np.isfinite(each).all():
            raise ValueError("scaling is not of the samples")
    profile = [arrays["error_mean"], arrays["error_scale"]]
    scores = arrays["calibration_scores"]
    if any(each.shape != (elements,) or each.dtype != np.float32 for each in profile):
        raise ValueError("the profile of errors is not of the samples")
    if not (scores.ndim == 1 and scores.dtype == np.float64 and np.isfinite(scores).all()):
        raise ValueError("the calibration scores are no finite numbers")
    if not (scaling.scale > 0).all() or not all(np.isfinite(each).all() for each in profile):
        raise ValueError("the scaling or the profile of errors holds no usable numbers")
