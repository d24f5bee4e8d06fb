"""The scores of a file of new samples, and which features are off, portion by portion."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hourglass.core.errors import UserError
from hourglass.data.readers.chunks import Chunk, prefetch, read_chunks
from hourglass.detection.detector import Detector
from hourglass.detection.spilled_rows import need_scores


@dataclass(frozen=True)
class ScoredStream:
    """What is known of a stream of samples."""

    scores: np.ndarray  # (N,) in the order of the file, NaN where a sample has none
    contributions: np.ndarray  # (F,) the mean over the samples of a table; of images (0,)


def score_stream(file: Path, detector: Detector, missing: str, resize: bool) -> ScoredStream:
    """Return the scores of a file that may be larger than memory.

    Raises a UserError where a sample has no score and `missing` is "refuse", or none has one.
    """
    parts, sums = [np.zeros(0)], np.zeros(len(detector.feature_names))
    with tqdm(desc=file.name, unit=" samples", unit_scale=True, disable=None) as progress:
        for portion in prefetch(read_chunks(file, detector, None, resize)):
            scores = _scores(portion, detector, sums)
            if missing == "refuse":
                need_scores(scores, portion, file, detector.feature_names)
            parts.append(scores)
            progress.update(len(scores))
    scores = np.concatenate(parts)
    count = int(np.isfinite(scores).sum())
    if not count:
        raise UserError(f"{file} holds no samples that can be scored.")
    return ScoredStream(scores, sums / count)


def _scores(portion: Chunk, detector: Detector, sums: np.ndarray) -> np.ndarray:
    """Return the scores of a portion, (N,), NaN where there is none; add up contributions."""
    scores = np.full(len(portion.x), np.nan)
    if portion.complete.any():
        x = portion.x[portion.complete]
        if detector.feature_names:
            found, contributions = detector.judge(x)
            sums += contributions[np.isfinite(found)].sum(0, dtype=np.float64)
        else:
            (found,) = detector.scoring.beside(x)
        scores[portion.complete] = np.where(np.isfinite(found), found, np.nan)
    return scores
