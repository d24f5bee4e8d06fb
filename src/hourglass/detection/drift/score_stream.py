"""Scoring of a file in chunks, so that it may be larger than memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.progress_bar import ProgressBar
from hourglass.data.columns.column import Missing
from hourglass.data.readers.chunks import read_chunks
from hourglass.data.streaming import prefetch
from hourglass.detection.detector import Detector
from hourglass.detection.drift.column_drift import ColumnCounts
from hourglass.detection.score_writer import require_scores, score_chunk


@dataclass(frozen=True)
class ScoredStream:
    """The scores of a stream of samples, and statistics of its columns."""

    scores: np.ndarray  # (N,) in file order; NaN for a sample that cannot be scored
    contributions: np.ndarray  # (C,), mean over scored samples; (0,) for images
    columns: ColumnCounts  # of all samples; without columns for images


def score_stream(file: Path, detector: Detector, missing: Missing, resize: bool) -> ScoredStream:
    """Return the scores of a file.

    Raises a UserError if `missing` is "refuse" and a sample cannot be scored, or if the file has no
    sample that can be scored.
    """
    parts, sums = [np.zeros(0)], np.zeros(len(detector.features))
    columns = ColumnCounts(detector.features if detector.column_bins else [], detector.column_bins)
    chunks = read_chunks(file, detector, None, resize, missing=missing)
    with ProgressBar(desc=file.name, unit=" samples", unit_scale=True) as progress:
        for chunk in prefetch(chunks):
            scores, contributions = score_chunk(detector, chunk)
            x = detector.encoding.features(chunk.x) if detector.columns else chunk.x
            columns.add(x, chunk.cells)
            sums += contributions[np.isfinite(scores)].sum(0, dtype=np.float64)
            if missing == "refuse":
                require_scores(scores, chunk, file)
            parts.append(scores)
            progress.update(len(scores))
    scores = np.concatenate(parts)
    count = int(np.isfinite(scores).sum())
    if not count:
        raise UserError(f"{file} holds no samples that can be scored; give rows with values.")
    return ScoredStream(scores, sums / count, columns)
