"""Scoring of a file in chunks, so that it may be larger than memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.progress_bar import ProgressBar
from hourglass.data.blocks import block_of_row
from hourglass.data.columns.column import Missing
from hourglass.data.readers.chunks import Chunk, Chunks, read_chunks
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.streaming import prefetch
from hourglass.data.windows import Windows
from hourglass.detection.block_scores import block_maxima
from hourglass.detection.chunk_scores import require_scores, score_chunk
from hourglass.detection.detector import Detector
from hourglass.detection.drift.column_drift import ColumnCounts
from hourglass.detection.event_table import RoleCodes
from hourglass.detection.series_chunks import score_series_chunks


@dataclass(frozen=True)
class ScoredStream:
    """The scores of a stream of samples, and statistics of its columns."""

    # (N,) in file order; NaN for a sample that cannot be scored. Of a series: the highest score of
    # each block, in the order of the steps, as the calibration scores are.
    scores: np.ndarray
    contributions: np.ndarray  # (C,), mean over scored samples; (0,) for images
    columns: ColumnCounts  # of all samples; without columns for images
    unit: str = "sample"  # that has a score


def score_stream(file: Path, detector: Detector, missing: Missing, resize: bool) -> ScoredStream:
    """Return the scores of a file.

    Raises a UserError if `missing` is "refuse" and a sample cannot be scored, or if the file has no
    sample that can be scored.
    """
    series = RoleCodes(detector.columns)
    parts, sums = [np.zeros(0)], np.zeros(len(detector.features))
    columns = ColumnCounts(detector.features if detector.column_bins else [], detector.column_bins)
    chunks = read_chunks(file, detector, None, resize, missing=missing)
    with ProgressBar(desc=file.name, unit=" samples", unit_scale=True) as progress:
        for chunk, scores, contributions in _score(detector, prefetch(chunks)):
            x = detector.encoding.features(chunk.x) if detector.columns else chunk.x
            columns.add(x, chunk.cells)
            sums += contributions[np.isfinite(scores)].sum(0, dtype=np.float64)
            if missing == "refuse":
                require_scores(scores, chunk, file)
            parts.append(scores)
            if detector.is_series:
                series.add(chunk)
            progress.update(len(scores))
    scores = np.concatenate(parts)
    count = int(np.isfinite(scores).sum())
    if not count:
        raise UserError(f"{file} holds no samples that can be scored; give rows with values.")
    encoding = detector.scoring.scaling
    if isinstance(encoding, SeriesEncoding):
        windows = encoding.windows(np.concatenate(series.codes))
        return ScoredStream(_of_blocks(scores, windows), sums / count, columns, "block")
    return ScoredStream(scores, sums / count, columns)


def _score(detector: Detector, chunks: Chunks) -> Iterator[tuple[Chunk, np.ndarray, np.ndarray]]:
    """Yield chunks with scores, (N,), and contributions, (N, C), as of `score_chunk`."""
    if not detector.is_series:
        for chunk in chunks:
            yield chunk, *score_chunk(detector, chunk)
        return
    for chunk, (scores, contributions, _) in score_series_chunks(detector, chunks):
        scores[~chunk.complete | ~np.isfinite(scores)] = np.nan
        yield chunk, scores, contributions


def _of_blocks(scores: np.ndarray, windows: Windows) -> np.ndarray:
    """Return the highest score of each block, (B,); NaN if none of its rows has one."""
    maxima = block_maxima(np.where(np.isnan(scores), -np.inf, scores), block_of_row(windows))
    return np.where(np.isfinite(maxima), maxima, np.nan)
