"""The detector: a network, a scorer and a threshold to score new samples, and its files."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from hourglass.core.atomic import atomic_file
from hourglass.core.checksums import file_checksums, verify_checksums, write_with_checksum
from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import Cell
from hourglass.data.columns.bins import ColumnBins, bins_of_arrays, bins_to_arrays
from hourglass.data.columns.column import Column
from hourglass.data.readers.image_format import ImageFormat
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.scaling import Scaling, TiledScaling, encoding_from_dict
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.table_encoding import TableEncoding
from hourglass.detection.attribution import Profile
from hourglass.detection.consistency import check_consistency
from hourglass.detection.map_images import map_images
from hourglass.detection.metadata import METADATA, REFERENCE, THRESHOLD, read_metadata
from hourglass.detection.pixel_threshold import PixelAlarms
from hourglass.detection.scorers import Scorer
from hourglass.detection.scorers.anomaly_map import settings_of
from hourglass.detection.scorers.forward_cache import ForwardCache, by_step
from hourglass.detection.scoring import FittedScorer
from hourglass.detection.threshold import Threshold
from hourglass.networks.weights import CORRUPT_FILE_ERRORS, WEIGHTS, load
from hourglass.networks.weights import FILES as NETWORK_FILES
from hourglass.networks.weights import write as write_network

CALIBRATION_FILES = (METADATA, REFERENCE, THRESHOLD)  # written by `calibrate-threshold`
FILES = (*NETWORK_FILES, *CALIBRATION_FILES)  # all files of a detector
# Keys of the data set's metadata that describe the detector's input.
INPUTS = ("data", "sample_shape", "dtype", "feature_names", "columns", "scaling")


def detector_files(cell: Cell) -> list[Path]:
    """Return the paths of all files of a cell's detector."""
    network, calibration = cell.output("train"), cell.output("calibrate-threshold")
    return [network / name for name in NETWORK_FILES] + [
        calibration / name for name in CALIBRATION_FILES
    ]


@dataclass(frozen=True)
class Detector:
    """A trained network with a fitted scorer and a calibrated threshold."""

    inputs: dict[str, Any]  # input schema: the metadata entries with the keys INPUTS
    scoring: FittedScorer
    profile: Profile
    calibration_scores: np.ndarray  # (n,) scores of the normal calibration samples
    threshold: Threshold
    # SHA-256 of the network's files at calibration time; {} if there are none yet.
    network_checksums: dict[str, str]
    # Of the columns of a table in the training split, to find drift.
    column_bins: tuple[ColumnBins, ...] = ()
    pixels: PixelAlarms | None = None  # of images

    @property
    def weights_sha256(self) -> str:
        """Return the SHA-256 of the network's weights."""
        return self.network_checksums[WEIGHTS]

    @property
    def feature_names(self) -> list[str]:
        """Return the names of a table's features, in order; [] for images."""
        return [column.name for column in self.features]

    @cached_property
    def columns(self) -> list[Column]:
        """Return the columns of a table, with the roles of a series first; [] for images."""
        return [Column.from_dict(column) for column in self.inputs["columns"]]

    @property
    def features(self) -> list[Column]:
        """Return the columns that the network sees; [] for images."""
        return [column for column in self.columns if column.is_feature]

    @property
    def vectors(self) -> dict[str, Any] | None:
        """Return the names of the arrays in files of vectors; None for tables and images."""
        found: dict[str, Any] | None = self.inputs.get("vectors")
        return found

    @property
    def is_series(self) -> bool:
        """Return whether the samples are rows of a series, which are scored in windows."""
        return isinstance(self.scoring.scaling, SeriesEncoding)

    @property
    def read(self) -> ReadOptions:
        """Return the format of the table as it was set for `prepare`."""
        return ReadOptions(**self.inputs.get("read", {}))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return (C, H, W) for images or (C,) for a table of C columns, roles included.

        Large images, which are scored in tiles, may have any height and width.
        """
        return tuple(self.inputs["sample_shape"])

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Return whether samples of a shape can be scored."""
        if isinstance(self.scoring.scaling, TiledScaling):
            return len(shape) == 3 and shape[0] == self.sample_shape[0]
        return shape == self.sample_shape

    @property
    def image_format(self) -> ImageFormat:
        """Return the form of the images that `prepare` wrote."""
        return ImageFormat.of_inputs(self.inputs)

    @property
    def encoding(self) -> TableEncoding:
        """Return the encoding of a table's codes as network inputs."""
        scaling = self.scoring.scaling
        assert isinstance(scaling, TableEncoding)
        return scaling

    @property
    def full_scale(self) -> float:
        """Return the pixel value of white, by which images are divided."""
        scaling = self.scoring.scaling
        assert isinstance(scaling, Scaling)
        return float(scaling.scale)

    def score_with_contributions(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return scores, (N,), and contributions of features or pixels, (N, F) float32.

        A contribution is the squared error of a pixel, or the loss of a column, minus its mean on
        normal calibration samples, in standard deviations. A score may be infinite or NaN if a
        sample has huge values.
        """
        scores, contributions = self.scoring.score_with(x, self._contributions)
        return scores, contributions.reshape(len(x), -1)

    def _contributions(self, forward: ForwardCache) -> torch.Tensor:
        """Return the contributions, (N, F); those of tiles as pictures, (N, C, h, w), to merge."""
        found = self.profile.contributions(forward)
        if isinstance(self.scoring.scaling, TiledScaling):
            return found.unflatten(1, forward.x.shape[1:])
        return found

    def score_with_outputs(
        self, x: np.ndarray, rows: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return scores and contributions, and the network's outputs for a table's rows, (N, F).

        `rows` are the indices of the rows wanted; those of a series are scored among all. Outputs
        are those before the output activation, logits of categories and booleans; extreme numbers
        do not distort them, see `ForwardCache.usual_output`.
        """
        scores, contributions, output = self.scoring.score_with(
            x if rows is None or self.is_series else x[rows],
            self.profile.contributions,
            lambda forward: by_step(forward.usual_output),
        )
        if rows is not None and self.is_series:
            scores, contributions, output = scores[rows], contributions[rows], output[rows]
        return scores, contributions, output

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """Return the contribution of each feature, (N, F), or pixel, (N, *S), as float32."""
        found = self.score_with_contributions(x)[1]
        return found if self.columns else found.reshape(len(x), -1, *x.shape[2:])

    @property
    def pixel_alarms(self) -> PixelAlarms:
        """Return the settings of anomaly maps and defects; raise a UserError for a table."""
        if self.columns:
            raise UserError(f"{self.inputs['data']} is a table, so it has no anomaly maps.")
        return self.pixels or PixelAlarms(settings_of(self.scoring.scorer, None))

    def anomaly_maps(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the anomaly maps of images, (N, C, H, W), in batches, (n, H, W) float32."""
        scoring = self.scoring
        return map_images(scoring.network, x, scoring.scaling, self.pixel_alarms.maps)

    def save(self, folder: Path) -> None:
        """Write all files of the detector, network included, to a folder that `load` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        write_network(self.scoring.network, folder)
        checksums = file_checksums(folder, NETWORK_FILES)
        replace(self, network_checksums=checksums).write(folder)

    def write(self, folder: Path) -> None:
        """Write detector.json, reference.safetensors and threshold.json.

        detector.json holds the SHA-256 of all other files of the detector. Those of the network's
        files are from the time of calibration.
        """
        arrays = {
            "calibration_scores": self.calibration_scores,
            "error_mean": self.profile.mean,
            "error_scale": self.profile.scale,
            **{f"scorer.{key}": value for key, value in self.scoring.state.items()},
        }
        arrays |= bins_to_arrays(self.column_bins)
        with atomic_file(folder / REFERENCE) as temporary:
            contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
            save_file(contiguous, temporary)
        self.threshold.write(folder / THRESHOLD)
        inputs = {name: self.inputs[name] for name in INPUTS} | {"read": vars(self.read)}
        if "images" in self.inputs:
            inputs["images"] = self.image_format.settings()
        if self.vectors is not None:
            inputs["vectors"] = self.vectors
        files = {**self.network_checksums, **file_checksums(folder, [REFERENCE, THRESHOLD])}
        more = {} if self.pixels is None else {"pixels": self.pixels.to_dict()}
        score = self.scoring.scorer.describe()
        write_with_checksum(folder / METADATA, {**inputs, "score": score, **more, "files": files})

    @classmethod
    def of_cell(cls, cell: Cell) -> Self:
        """Load the detector of a cell; raise a UserError if it is not calibrated yet."""
        cell.require("train", "calibrate-threshold")
        return cls.load(cell.output("calibrate-threshold"), cell.output("train"))

    @classmethod
    def load(cls, folder: Path, network_folder: Path | None = None) -> Self:
        """Load a detector from `folder`, and its network from `network_folder` if that is not None.

        Loading executes no code from the files. Raises a UserError if a file is missing or
        damaged, or if the calibration belongs to other weights.
        """
        network_folder = network_folder or folder
        network = load(network_folder)
        try:
            metadata, threshold = read_metadata(folder)
            calibrated_for = {name: metadata["files"][name] for name in NETWORK_FILES}
            changed = calibrated_for != file_checksums(network_folder, NETWORK_FILES)
            verify_checksums(folder, {REFERENCE: metadata["files"][REFERENCE]})
            arrays = load_file(folder / REFERENCE)
            scaling = encoding_from_dict(metadata["scaling"])
            profile = Profile(arrays["error_mean"], arrays["error_scale"])
            calibration = arrays["calibration_scores"]
            scorer = Scorer.from_description(metadata["score"])
            bins = bins_of_arrays(arrays)
            pixels = PixelAlarms.from_dict(metadata["pixels"]) if "pixels" in metadata else None
            check_consistency(metadata, network, scaling, arrays)
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
        return cls(metadata, scoring, profile, calibration, threshold, calibrated_for, bins, pixels)
