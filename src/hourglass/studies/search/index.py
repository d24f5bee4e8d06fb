"""The search index of a data set: the latent codes of all samples, and exact neighbours."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from hourglass.core.atomic import atomic_files
from hourglass.core.checksums import (
    CORRUPT_FILE_ERRORS,
    file_checksums,
    read_with_checksum,
    verify_checksums,
    write_with_checksum,
)
from hourglass.core.errors import UserError, one_line
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.detection.detector import INPUTS, Detector
from hourglass.studies.latent_space import encode

Origin: TypeAlias = dict[str, str]

CODES, SAMPLES, CARD = "index.safetensors", "index.parquet", "index.json"
EXTRA_CANDIDATES = 8  # beyond the requested number, since rounding may change the order
BLOCK_QUERIES = 512  # queries processed at once, to limit memory
# Tolerance of squared distances relative to squared norms, far above their rounding error.
RELATIVE_TOLERANCE = 1e-9


class UnusableIndexError(Exception):
    """The index in a folder is missing, damaged or outdated; the message has no full stop."""


class NearestCodes:
    """Exact Euclidean nearest neighbours among codes, (n, latent_dim) float32.

    scikit-learn's brute-force search computes distances by a matrix product, which is fast but
    inexact: rounding decides the order of equal distances, and a code's distance to itself may not
    be 0. It therefore selects candidates only; their distances are computed again from differences
    in float64.
    """

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes
        self.candidates = NearestNeighbors(algorithm="brute").fit(codes)
        self.candidates.kneighbors(codes[:1], 1)  # starts threads for a fast first query

    def __call__(self, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and indices of the `top` nearest codes: (m, latent_dim) -> (m, top).

        Neighbours are sorted by distance, and by index if distances are equal.
        """
        blocks = [
            self._search_block(queries[start : start + BLOCK_QUERIES], top)
            for start in range(0, len(queries), BLOCK_QUERIES)
        ]
        distances, indices = zip(*blocks, strict=True)
        return np.concatenate(distances), np.concatenate(indices)

    def _search_block(self, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        count = min(top + EXTRA_CANDIDATES, len(self.codes))
        indices = self.candidates.kneighbors(queries, count, return_distance=False)
        difference = self.codes[indices] - queries[:, None].astype(np.float64)
        squared = np.einsum("mcf,mcf->mc", difference, difference)
        order = np.lexsort((indices, squared))
        squared, indices = (np.take_along_axis(a, order, 1) for a in (squared, indices))
        if count < len(self.codes):
            self._resolve_ties(queries, squared, indices, top)
        return np.sqrt(squared[:, :top]), indices[:, :top]

    def _resolve_ties(
        self, queries: np.ndarray, squared: np.ndarray, indices: np.ndarray, top: int
    ) -> None:
        """Search all codes for the queries whose candidates may be incomplete.

        If the farthest candidate is as near as the neighbour number `top`, a code outside of the
        candidates may be as near too. This happens among many equal codes. `squared` and `indices`,
        (m, candidates), are changed in place.
        """
        scale = np.square(queries, dtype=np.float64).sum(1) + squared[:, -1]
        ambiguous = squared[:, -1] <= squared[:, top - 1] + RELATIVE_TOLERANCE * scale
        for i in np.flatnonzero(ambiguous):
            distances = cdist(queries[i : i + 1], self.codes, "sqeuclidean")[0]
            indices[i] = np.argsort(distances, kind="stable")[: indices.shape[1]]
            squared[i] = distances[indices[i]]


@dataclass
class Index:
    """The latent codes of all samples of a data set, with their ids, splits and labels."""

    codes: np.ndarray  # (n, latent_dim) float32
    samples: pd.DataFrame  # one row per sample: id, split, label (str), anomaly (bool)
    origin: Origin  # SHA-256 of the weights and of the data
    nearest: NearestCodes = field(init=False)

    def __post_init__(self) -> None:
        self.nearest = NearestCodes(self.codes)

    @classmethod
    def build(cls, detector: Detector, prepared: Prepared) -> "Index":
        """Encode all five splits, in their order.

        Raises a UserError if the samples do not suit the detector, or a code is not finite.
        """
        scoring, tables, codes = detector.scoring, [], []
        for name in SPLITS:
            split = prepared.split(name)
            if len(split.x):
                codes.append(encode(scoring.network, split.x, scoring.scaling))
            columns = {"id": split.id, "split": name, "label": split.label}
            tables.append(pd.DataFrame(columns | {"anomaly": split.anomaly}))
        samples = pd.concat(tables, ignore_index=True)
        return cls(np.concatenate(codes), samples, index_origin(detector, prepared))

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.codes)

    def search(self, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and indices of the `top` nearest samples: (m, latent_dim) -> (m, top).

        A code in the index has the distance 0 to itself. Raises a UserError if `top` is above the
        number of samples.
        """
        if not 1 <= top <= len(self):
            raise UserError(f"top is {top}, but must be between 1 and the {len(self):,} samples.")
        return self.nearest(queries, top)

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
