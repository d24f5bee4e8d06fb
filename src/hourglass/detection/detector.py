"""The detector: network, scorer and threshold for scoring new samples, and its files."""

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
from hourglass.detection.metadata import METADATA, REFERENCE, THRESHOLD, read_metadata
from hourglass.detection.scorers import Scorer
from hourglass.detection.scoring import FittedScorer
from hourglass.detection.threshold import Threshold
from hourglass.networks import Network
from hourglass.networks.weights import CORRUPT_FILE_ERRORS, WEIGHTS, load
from hourglass.networks.weights import FILES as NETWORK_FILES

CALIBRATION_FILES = (METADATA, REFERENCE, THRESHOLD)  # written by `calibrate-threshold`
FILES = (*NETWORK_FILES, *CALIBRATION_FILES)  # all files of a detector
# Entries of the data set's metadata that describe a sample.
INPUTS = ("data", "sample_shape", "dtype", "feature_names", "scaling")


def detector_files(cell: Cell) -> list[Path]:
    """Return the paths of a cell's FILES."""
    network, calibration = cell.output("train"), cell.output("calibrate-threshold")
    return [network / name for name in NETWORK_FILES] + [
        calibration / name for name in CALIBRATION_FILES
    ]


@dataclass(frozen=True)
class Detector:
    """A trained network with a fitted scorer and a calibrated threshold."""

    inputs: dict[str, Any]  # description of a sample: the entries that INPUTS names
    scoring: FittedScorer
    profile: Profile
    calibration: np.ndarray  # (n,) scores of the normal calibration samples
    threshold: Threshold
    network: dict[str, str]  # SHA-256 of the network's files at calibration time

    @property
    def weights(self) -> str:
        """Return the SHA-256 of the network's weights."""
        return self.network[WEIGHTS]

    @property
    def feature_names(self) -> list[str]:
        """Return the column names of a table, in order; [] for images."""
        return list(self.inputs["feature_names"])

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return (C, H, W) for images or (F,) for a table."""
        return tuple(self.inputs["sample_shape"])

    @property
    def full_scale(self) -> float:
        """Return the value of white in an image, by which samples are scaled."""
        return float(self.scoring.scaling.scale)

    def score_with_contributions(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return scores, (N,), and contributions of features or pixels, (N, F) float32.

        A contribution is the excess of an element's squared error over its mean on normal
        calibration samples, in standard deviations. A score may be infinite or NaN if values of a
        sample are huge.
        """
        scores, contributions = self.scoring.score_with(x, self.profile.contributions)
        return scores, contributions

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """Return the contribution of each feature or pixel: (N, *S) -> (N, *S) float32."""
        return self.score_with_contributions(x)[1].reshape(x.shape)

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Return the conformal p-value of each score, (N,); a small one is evidence of anomaly."""
        return p_values(self.calibration, scores)

    def write(self, folder: Path) -> None:
        """Write the CALIBRATION_FILES.

        detector.json holds the SHA-256 of all other files of the detector, those of the network as
        they were when it was loaded.
        """
        arrays = {
            "calibration_scores": self.calibration,
            "error_mean": self.profile.mean,
            "error_scale": self.profile.scale,
            **{f"scorer.{key}": value for key, value in self.scoring.state.items()},
        }
        with atomic_file(folder / REFERENCE) as temporary:
            contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
            save_file(contiguous, temporary)
        self.threshold.write(folder / THRESHOLD)
        inputs = {name: self.inputs[name] for name in INPUTS}
        files = {**self.network, **file_checksums(folder, [REFERENCE, THRESHOLD])}
        score = self.scoring.scorer.describe()
        write_with_checksum(folder / METADATA, {**inputs, "score": score, "files": files})

    @classmethod
    def of_cell(cls, cell: Cell) -> "Detector":
        """Return the detector of a cell; raises a UserError if it is not calibrated yet."""
        cell.need("train", "calibrate-threshold")
        return cls.load(cell.output("calibrate-threshold"), cell.output("train"))

    @classmethod
    def load(cls, folder: Path, network_folder: Path | None = None) -> "Detector":
        """Load a detector; its network is in `network_folder`, or in `folder` too if None.

        No file that is loaded can run code. Raises a UserError if a file is missing or damaged, or
        if the calibration belongs to other weights.
        """
        network_folder = network_folder or folder
        network = load(network_folder)
        try:
            metadata, threshold = read_metadata(folder)
            calibrated_for = {name: metadata["files"][name] for name in NETWORK_FILES}
            changed = calibrated_for != file_checksums(network_folder, NETWORK_FILES)
            verify_checksums(folder, {REFERENCE: metadata["files"][REFERENCE]})
            arrays = load_file(folder / REFERENCE)
            scaling = Scaling.from_dict(metadata["scaling"])
            profile = Profile(arrays["error_mean"], arrays["error_scale"])
            calibration = arrays["calibration_scores"]
            scorer = Scorer.from_description(metadata["score"])
            _check(metadata, network, scaling, arrays)
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
        return cls(metadata, scoring, profile, calibration, threshold, calibrated_for)


def _check(
    metadata: dict[str, Any], network: Network, scaling: Scaling, arrays: dict[str, np.ndarray]
) -> None:
    """Raise a ValueError or TypeError if readable parts do not form a consistent detector."""
    shape, names = tuple(metadata["sample_shape"]), metadata["feature_names"]
    if list(shape) != list(network.init_args["sample_shape"]):
        raise ValueError(f"sample_shape is {shape!s:.40}, not that of the network")
    elements = math.prod(shape)
    if names != [] and not (len(names) == elements and all(type(name) is str for name in names)):
        raise ValueError(f"feature_names are not {elements} names")
    dtype = metadata["dtype"]
    if not isinstance(metadata["data"], str) or np.dtype(dtype) not in (np.uint8, np.float32):
        raise ValueError(f"dtype is {dtype!r:.40}")
    for array in (scaling.offset, scaling.scale):
        if array.shape not in ((), shape) or not np.isfinite(array).all():
            raise ValueError("scaling does not fit the samples")
    profile = [arrays["error_mean"], arrays["error_scale"]]
    scores = arrays["calibration_scores"]
    if any(array.shape != (elements,) or array.dtype != np.float32 for array in profile):
        raise ValueError("the error profile does not fit the samples")
    if not (scores.ndim == 1 and scores.dtype == np.float64 and np.isfinite(scores).all()):
        raise ValueError("the calibration scores are not finite numbers")
    if not (scaling.scale > 0).all() or not all(np.isfinite(array).all() for array in profile):
        raise ValueError("the scaling or the error profile holds unusable numbers")
