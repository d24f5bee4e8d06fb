"""Pictures of alarms: each image with the heat of its anomaly map, and the mask of its defects.

They are written while images are scored, so that only one chunk is in memory. Which images are
alarms may depend on all scores; pictures of those that turn out to be none are deleted in the end.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from hourglass.data.readers.chunks import Chunk
from hourglass.detection.calibrators.conformal import p_values
from hourglass.detection.defects import label_defects
from hourglass.detection.detector import Detector
from hourglass.evaluation.figures.overlays import PREDICTED, outline, overlay

OVERLAYS, MASKS = "overlays", "masks"  # names of folders
MAX_SIDE = 4096  # of an original whose size the pictures get; others keep that of the input
BAND_PIXELS = 1 << 18  # of an image that are drawn at once, with a hundred bytes each


@dataclass
class AlarmPictures:
    """Writes overlays and masks of images that may be alarms, or have a defect, to a folder."""

    detector: Detector
    folder: Path
    may_alarm: Callable[[np.ndarray], np.ndarray]  # scores, (N,) -> bool, (N,)
    count: int = 0  # images added so far
    names: dict[int, str] = field(default_factory=dict)  # of the files, by number of the image
    defective: set[int] = field(default_factory=set)  # images with a defect

    def __post_init__(self) -> None:
        for name in (OVERLAYS, MASKS):
            (self.folder / name).mkdir(parents=True)

    def add(self, chunk: Chunk, scores: np.ndarray, maps: np.ndarray, defects: np.ndarray) -> None:
        """Add the images of a chunk, with their maps, (N, H, W), and numbers of defects, (N,)."""
        for i in np.flatnonzero(self.may_alarm(scores) | (defects > 0)):
            number = self.count + int(i)
            self.names[number] = f"{number + 1:06}-{safe_name(str(chunk.id[i]))}.png"
            if defects[i]:
                self.defective.add(number)
            size = None if chunk.sizes is None else chunk.sizes[i].tolist()
            self._write(self.names[number], chunk.x[i], maps[i], size)
        self.count += len(scores)

    def _write(
        self, name: str, image: np.ndarray, anomaly_map: np.ndarray, size: list[int] | None
    ) -> None:
        """Write the pictures in the size of the original, (height, width), if it is not large."""
        alarms = self.detector.pixel_alarms
        threshold = alarms.require_threshold()
        found = label_defects(anomaly_map, threshold, alarms.min_area)[0] > 0
        edge, scaling = outline(found), self.detector.scoring.scaling
        picture = Image.new("RGB", found.shape[::-1])
        step = max(1, BAND_PIXELS // found.shape[1])
        for start in range(0, len(found), step):
            rows = slice(start, start + step)
            band = overlay(scaling(image[None, :, rows])[0], anomaly_map[rows], 2 * threshold)
            band[edge[rows]] = PREDICTED
            picture.paste(Image.fromarray(np.rint(255 * band).astype(np.uint8)), (0, start))
        mask = Image.fromarray(found * np.uint8(255))
        if size is not None and max(size) <= MAX_SIDE:
            geometry = self.detector.image_format.geometry_from(*found.shape)
            picture = geometry.to_original(picture, size[0], size[1], Image.Resampling.BILINEAR)
            mask = geometry.to_original(mask, size[0], size[1], Image.Resampling.NEAREST)
        picture.save(self.folder / OVERLAYS / name)
        mask.save(self.folder / MASKS / name)

    def keep(self, alarm: np.ndarray) -> None:
        """Delete the pictures of images that are no alarms, (N,) bool, and have no defect."""
        for number in [n for n in self.names if not alarm[n] and n not in self.defective]:
            for name in (OVERLAYS, MASKS):
                (self.folder / name / self.names[number]).unlink()
            del self.names[number]


def possible_alarms(
    detector: Detector, top: int | None, false_discovery_rate: float | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that tells which scores, (N,), may be alarms, before all are known.

    With `top`, these are scores among the highest so far. With a false discovery rate, an alarm
    has a p-value of at most that rate.
    """
    if top is not None:
        return _Highest(top)
    if false_discovery_rate is not None:
        return lambda scores: p_values(detector.calibration_scores, scores) <= false_discovery_rate
    return lambda scores: scores > detector.threshold.value  # False for NaN


class _Highest:
    """Tells which scores are among the `count` highest so far."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.best = np.zeros(0)

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        known = scores[np.isfinite(scores)]
        self.best = np.sort(np.concatenate([self.best, known]))[-self.count :]
        return np.asarray(scores >= self.best.min(initial=np.inf))


def safe_name(name: str) -> str:
    """Return the end of the id of an image as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[-60:]
