"""Queries of the search index: the samples of a file, or one sample of the data set."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.data.readers.chunks import read_chunks
from hourglass.data.streaming import prefetch
from hourglass.detection.detector import Detector
from hourglass.detection.scoring import latent_codes
from hourglass.studies.search.index import Index


@dataclass(frozen=True)
class SearchResults:
    """A batch of queries and their nearest samples."""

    id: pa.Array  # (m,) names of the queries
    x: np.ndarray  # (m, *S) the queries, unscaled
    distance: np.ndarray  # (m, top) Euclidean, between codes, nearest first
    neighbour: np.ndarray  # (m, top) positions of the samples in the index
    seconds: float  # duration of the search, without encoding

    def table(self, index: Index) -> pa.RecordBatch:
        """Return one row per query and neighbour."""
        queries, top = self.neighbour.shape
        samples = index.samples.iloc[self.neighbour.ravel()]
        columns = {
            "query": self.id.take(pa.array(np.repeat(np.arange(queries), top))),
            "rank": pa.array(np.tile(np.arange(1, top + 1), queries)),
            **{name: pa.array(samples[name]) for name in ("id", "split", "label", "anomaly")},
            "distance": pa.array(self.distance.ravel()),
        }
        return pa.record_batch(columns)


def search_file(
    path: Path, detector: Detector, index: Index, top: int, resize: bool
) -> Iterator[SearchResults]:
    """Search for the samples of a file or folder, chunk by chunk.

    Raises a UserError if there are no samples, or if they do not match the detector's input.
    """
    network, scaling, empty = detector.scoring.network, detector.scoring.scaling, True
    for chunk in prefetch(read_chunks(path, detector, None, resize)):
        if not len(chunk.x):
            continue
        yield _search(chunk.id, chunk.x, latent_codes(network, chunk.x, scaling), index, top)
        empty = False
    if empty:
        raise UserError(f"{path} holds no samples.")


def search_sample(position: int, prepared: Prepared, index: Index, top: int) -> SearchResults:
    """Search for the sample at a position of the index, and exclude it from the results.

    Raises a UserError if there are fewer other samples than `top`.
    """
    if top >= len(index):
        raise UserError(f"top is {top}, but there are {len(index) - 1:,} other samples; lower it.")
    id, x = pa.array(index.samples.id[[position]]), indexed_samples(prepared, np.array([position]))
    results = _search(id, x, index.codes[[position]], index, top + 1)
    # Among many equal codes, the sample may be missing from the results; the last is then dropped.
    others = np.flatnonzero(results.neighbour[0] != position)[:top]
    distance, neighbour = results.distance[:, others], results.neighbour[:, others]
    return SearchResults(id, x, distance, neighbour, results.seconds)


def indexed_samples(prepared: Prepared, positions: np.ndarray) -> np.ndarray:
    """Return the unscaled samples at positions of the index: (n,) -> (n, *S)."""
    splits = [prepared.split(name).x for name in SPLITS]
    ends = np.cumsum([len(x) for x in splits])
    split = np.searchsorted(ends, positions, "right")
    # `position - end` is negative, so it counts from the end of the split.
    pairs = zip(split, positions, strict=True)
    return np.stack([splits[i][position - ends[i]] for i, position in pairs])


def _search(
    id: pa.Array, x: np.ndarray, codes: np.ndarray, index: Index, top: int
) -> SearchResults:
    start = time.perf_counter()
    distance, neighbour = index.search(codes, top)
    return SearchResults(id, x, distance, neighbour, time.perf_counter() - start)
