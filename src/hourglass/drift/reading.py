"""The scores of a file of new samples, and which features are off, portion by portion."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hourglass.detection.detector import Detector
from hourglass.errors import Refusal
from hourglass.score import need_scores
from hourglass.streams.portions import Portion, ahead, portions


@dataclass(frozen=True)
class Seen:
    """What is known of a stream of samples."""

    scores: np.ndarray  # (N,) in the order of the file, NaN where a sample has none
    contributions: np.ndarray  # (F,) the mean over the samples of a table; of images (0,)


def see(file: Path, detector: Detector, missing: str, resize: bool) -> Seen:
    """Return the scores of a file that may be larger than memory.

    Raises a Refusal where a sample has no score and `missing` is "refuse", or none has one.
    """
    parts, sums = [np.zeros(0)], np.zeros(len(detector.feature_names))
    with tqdm(desc=file.name, unit=" samples", unit_scale=True, disable=None) as progress:
        for portion in ahead(portions(file, detector, None, resize)):
            scores = _scores(portion, detector, sums)
            if missing == "refuse":
                need_scores(scores, portion, file, detector.feature_names)
            parts.append(scores)
            progress.update(len(scores))
    scores = np.concatenate(parts)
    count = int(np.isfinite(scores).sum())
    if not count:
        raise Refusal(f"{file} holds no samples that can be scored.")
    return Seen(scores, sums / count)


def _scores(portion: Portion, detector: Detector, sums: np.ndarray) -> np.ndarray:
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
