"""Queries in, their nearest samples out: portion by portion of a file, or one sample by its id."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.data.prepared import SPLITS, Prepared
from hourglass.data.readers.chunks import Chunk, prefetch, read_chunks
from hourglass.detection.detector import Detector
from hourglass.detection.scoring import latent_codes
from hourglass.studies.search.index import Index


@dataclass(frozen=True)
class Answers:
    """Hold some queries and the samples nearest to each."""

    id: pa.Array  # (m,) what the queries are called
    x: np.ndarray  # (m, *S) the queries, unscaled
    distance: np.ndarray  # (m, top) between codes, nearest first
    place: np.ndarray  # (m, top) of the samples in the index
    seconds: float  # that the search took, once there were codes

    def table(self, index: Index) -> pa.RecordBatch:
        """Return a row a query and neighbour, in their order."""
        queries, top = self.place.shape
        near = index.samples.iloc[self.place.ravel()]
        columns = {
            "query": self.id.take(pa.array(np.repeat(np.arange(queries), top))),
            "rank": pa.array(np.tile(np.arange(1, top + 1), queries)),
            **{name: pa.array(near[name]) for name in ("id", "split", "label", "anomaly")},
            "distance": pa.array(self.distance.ravel()),
        }
        return pa.record_batch(columns)


def to_file(
    path: Path, detector: Detector, index: Index, top: int, resize: bool
) -> Iterator[Answers]:
    """Yield the answers to the samples of a file or folder, as they are read.

    Raises a UserError where it holds no samples, what is no input of the detector, or a sample with
    a missing value.
    """
    scoring, empty = detector.scoring, True
    for portion in prefetch(read_chunks(path, detector, None, resize)):
        if len(portion.x):
            empty = False
            _need_complete(portion, path, detector.feature_names)
            found = latent_codes(scoring.network, portion.x, scoring.scaling)
            yield _answers(portion.id, portion.x, found, index, top)
    if empty:
        raise UserError(f"{path} holds no samples.")


def to_sample(place: int, prepared: Prepared, index: Index, top: int) -> Answers:
    """Return the answer to one of the index's own samples, which is no part of it.

    Raises a UserError where there are not so many others.
    """
    if top >= len(index):
        raise UserError(f"top is {top}, but there are {len(index) - 1:,} other samples; lower it.")
    # Among many equal samples it may not be found itself: then the last one is left out.
    id, x = pa.array(index.samples.id[[place]]), images(prepared, np.array([place]))
    found = _answers(id, x, index.latent_codes[[place]], index, top + 1)
    keep = np.flatnonzero(found.place[0] != place)[:top]
    return Answers(id, x, found.distance[:, keep], found.place[:, keep], found.seconds)


def images(prepared: Prepared, places: np.ndarray) -> np.ndarray:
    """Return the samples at some places of an index, unscaled: (n,) -> (n, *S)."""
    splits = [prepared.split(name).x for name in SPLITS]
    ends = np.cumsum([len(x) for x in splits])
    which = np.searchsorted(ends, places, "right")
    # Below 0: counted from the split's end.
    return np.stack([splits[i][place - ends[i]] for i, place in zip(which, places, strict=True)])


def _answers(id: pa.Array, x: np.ndarray, queries: np.ndarray, index: Index, top: int) -> Answers:
    start = time.perf_counter()
    distance, place = index.search(queries, top)
    return Answers(id, x, distance, place, time.perf_counter() - start)


def _need_complete(portion: Chunk, path: Path, names: list[str]) -> None:
    """Raise a UserError that names the first sample with a missing value."""
    if portion.complete.all():
        return
    row = int(portion.complete.argmin())
    feature = names[int(np.isfinite(portion.x[row]).argmin())]
    raise UserError(
        f"{feature!r} of {path} is empty or not finite in row {portion.id[row]}; mend it or leave "
        "that row out."
    )
