"""The search index of a data set: the latent codes of all samples, and exact neighbours."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file
from scipy.spatial.distance import cdist

from hourglass.core.atomic import atomic_files
from hourglass.core.checksums import (
    CORRUPT_FILE_ERRORS,
    file_checksums,
    read_with_checksum,
    verify_checksums,
    write_with_checksum,
)
from hourglass.core.errors import UserError, one_line
from hourglass.core.progress import step
from hourglass.core.suggestions import counted
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.detection.detector import INPUTS, Detector
from hourglass.detection.scoring import latent_codes

Origin: TypeAlias = dict[str, str]

CODES, SAMPLES, CARD = "index.safetensors", "index.parquet", "index.json"


class UnusableIndexError(Exception):
    """The index in a folder is missing, damaged or outdated; the message has no full stop."""


@dataclass(frozen=True)
class Index:
    """The latent codes of all samples of a data set, with their ids, splits and labels."""

    codes: np.ndarray  # (n, latent_dim) float32
    samples: pd.DataFrame  # one row per sample: id, split, label (str), anomaly (bool)
    origin: Origin  # SHA-256 of the weights and of the data

    @classmethod
    def build(cls, detector: Detector, prepared: Prepared) -> "Index":
        """Encode all five splits, in their order.

        Raises a UserError if the samples do not suit the detector, or a code is not finite.
        """
        scoring, tables, codes = detector.scoring, [], []
        for name in SPLITS:
            split = prepared.split(name)
            if len(split.x):
                with step(f"encode {counted(len(split.x), 'sample')} of the {name} split"):
                    codes.append(latent_codes(scoring.network, split.x, scoring.scaling))
            columns = {"id": split.id, "split": name, "label": split.label}
            tables.append(pd.DataFrame(columns | {"anomaly": split.anomaly}))
        samples = pd.concat(tables, ignore_index=True)
        return cls(np.concatenate(codes), samples, index_origin(detector, prepared))

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.codes)

    def search(self, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and indices of the `top` nearest samples: (m, latent_dim) -> (m, top).

        Distances are Euclidean. Neighbours are sorted by distance, and by index if distances are
        equal. A code in the index has the distance 0 to itself. Raises a UserError if `top` is
        above the number of samples.
        """
        if not 1 <= top <= len(self):
            raise UserError(f"top is {top}, but must be between 1 and the {len(self):,} samples.")
        codes = self.codes.astype(np.float64)
        neighbours = [_nearest(codes, query, top) for query in queries.astype(np.float64)]
        distances, indices = zip(*neighbours, strict=True)
        return np.stack(distances), np.stack(indices)

    def find(self, id: str) -> int | None:
        """Return the index of the sample with an id, or None if no sample has it."""
        matches = np.flatnonzero(self.samples.id == id)
        return int(matches[0]) if len(matches) else None

    def write(self, folder: Path) -> None:
        """Write the codes, the samples, and a metadata file with their SHA-256 and the origin."""
        with atomic_files(folder) as temporary:
            save_file({"codes": np.ascontiguousarray(self.codes)}, temporary / CODES)
            self.samples.to_parquet(temporary / SAMPLES)
            files = file_checksums(temporary, (CODES, SAMPLES))
            write_with_checksum(temporary / CARD, {"origin": self.origin, "files": files})

    @classmethod
    def read(cls, folder: Path, expected: Origin) -> "Index":
        """Read the index in a folder; reading executes no code from the files.

        Raises an UnusableIndexError if it is missing or damaged, or has an unexpected origin.
        """
        try:
            card = read_with_checksum(folder / CARD)
            if card["origin"] != expected:
                raise UnusableIndexError(
                    f"the index in {folder.as_posix()} was built from other weights or data"
                )
            verify_checksums(folder, {name: card["files"][name] for name in (CODES, SAMPLES)})
            samples = pd.read_parquet(folder / SAMPLES)
            return cls(load_file(folder / CODES)["codes"], samples, expected)
        except FileNotFoundError as error:
            raise UnusableIndexError(f"{Path(error.filename).as_posix()} is missing") from None
        except CORRUPT_FILE_ERRORS as error:
            raise UnusableIndexError(
                f"the index in {folder.as_posix()} is damaged ({one_line(error)})"
            ) from None


def _nearest(codes: np.ndarray, query: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and indices of the `top` nearest codes: (latent_dim,) -> (top,) each."""
    # Computed from differences: a matrix product would be faster, but its rounding decides the
    # order of nearly equal distances, and the distance of a code to itself may not be 0.
    distances = cdist(query[None], codes)[0]
    candidates = np.flatnonzero(distances <= np.partition(distances, top - 1)[top - 1])
    nearest = candidates[np.argsort(distances[candidates], kind="stable")][:top]
    return distances[nearest], nearest


def index_origin(detector: Detector, prepared: Prepared) -> Origin:
    """Return the SHA-256 of the weights and of the data that an index is built from.

    Raises a UserError if the detector was calibrated on differently prepared data.
    """
    if any(prepared.card[name] != detector.inputs[name] for name in INPUTS):
        raise UserError(
            f"{prepared.folder.as_posix()} was prepared with other settings than the detector was "
            "calibrated with; run `dvc repro` first."
        )
    return {"weights": detector.weights_sha256, "data": prepared.card["sha256"]}
