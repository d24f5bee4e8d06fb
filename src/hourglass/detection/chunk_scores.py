"""Scores of the samples of a chunk, with the reasons, anomaly maps or contributions behind them.

A sample that cannot be scored has the score NaN: its chunk says so, or its score is not finite.
"""

from pathlib import Path

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.readers.chunks import Chunk
from hourglass.detection.attribution import TOP_FEATURES
from hourglass.detection.defects import Defect, defects_of_map, in_original
from hourglass.detection.detector import Detector
from hourglass.detection.reasons import Reasons
from hourglass.detection.series_chunks import Scored


def score_with_reasons(
    detector: Detector, chunk: Chunk, above: float = -np.inf, scored: Scored | None = None
) -> tuple[np.ndarray, Reasons | None]:
    """Return the scores of a chunk, (N,), and the reasons for those above `above`; None for images.

    Samples that cannot be scored have the score NaN. `scored` are the results of
    `Detector.score_with_outputs`, if they are known.
    """
    if not detector.columns:
        return score_chunk(detector, chunk)[0], None
    scores, contributions, output = scored or detector.score_with_outputs(chunk.x)
    _clear_unscorable(scores, chunk)
    contributions[~(scores > above)] = 0  # so there is no reason
    encoding = detector.encoding
    return scores, Reasons.of(
        encoding, detector.profile, chunk.x, contributions, output, TOP_FEATURES, chunk.cells
    )


def score_maps(
    detector: Detector, chunk: Chunk
) -> tuple[np.ndarray, np.ndarray, list[list[Defect]]]:
    """Return the scores of images, (N,), their anomaly maps, (N, H, W), and their defects.

    Defects are in pixels of the originals, if the chunk has their sizes, else in those of the maps.
    Raises a UserError if the detector has no pixel threshold.
    """
    alarms = detector.pixel_alarms
    threshold = alarms.require_threshold()
    scores, maps = detector.scoring.score_with(chunk.x, alarms.maps)
    _clear_unscorable(scores, chunk)
    defects = [defects_of_map(each, threshold, alarms.min_area) for each in maps]
    if chunk.sizes is not None:
        geometry = detector.image_format.geometry_from(*maps.shape[1:])
        defects = [
            [in_original(each, geometry, *size) for each in of_image]
            for of_image, size in zip(defects, chunk.sizes.tolist(), strict=True)
        ]
    return scores, maps, defects


def score_chunk(detector: Detector, chunk: Chunk) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of a chunk, (N,), and the contributions of columns, (N, C) float32.

    Samples that cannot be scored have the score NaN. For images, C is 0.
    """
    if detector.columns:
        scores, contributions = detector.score_with_contributions(chunk.x)
    else:
        scores = detector.scoring.score_with(chunk.x)[0]
        contributions = np.zeros((len(scores), 0), np.float32)
    _clear_unscorable(scores, chunk)
    return scores, contributions


def require_scores(
    scores: np.ndarray, chunk: Chunk, file: Path, skip: str = "omit --missing refuse"
) -> None:
    """Raise a UserError about the first sample without a score, if there is one.

    `skip` is the remedy that leaves such samples unscored.
    """
    if not np.isnan(scores).any():
        return
    row = int(np.isnan(scores).argmax())
    reason = "has no finite score" if chunk.complete[row] else "has only empty cells"
    raise UserError(
        f"row {chunk.id[row]} of {file} {reason}; correct it, or {skip} to leave it unscored."
    )


def _clear_unscorable(scores: np.ndarray, chunk: Chunk) -> None:
    """Set the scores of samples that cannot be scored to NaN."""
    scores[~chunk.complete | ~np.isfinite(scores)] = np.nan
