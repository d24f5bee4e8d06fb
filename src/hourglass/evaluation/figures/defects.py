"""The figure of images with defects: image, anomaly map, ground truth and contour side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from hourglass.evaluation.figures.images import Strip, sheet
from hourglass.evaluation.figures.overlays import heat, with_outline

MAX_ROWS = 12
INCHES = 1.7  # width of an image


@dataclass(frozen=True)
class MappedImage:
    """An image with its anomaly map and its defective pixels."""

    title: str
    image: np.ndarray  # (C, H, W) in [0, 1]
    anomaly_map: np.ndarray  # (H, W)
    truth: np.ndarray  # (H, W) bool
    found: np.ndarray | None = None  # (H, W) bool: the defects; None without a threshold


def defects(images: Sequence[MappedImage]) -> Figure:
    """Draw a row per image, at most MAX_ROWS, with one scale of the heat for all maps."""
    images = images[:MAX_ROWS]
    white = max(float(np.quantile(each.anomaly_map, 0.999)) for each in images)
    rows = {each.title: _row(each, white) for each in images}
    captions = ["image", "anomaly map", "ground truth", "found"]
    count = max(map(len, rows.values()))
    return sheet([Strip("", rows, captions[:count])], INCHES)


def _row(each: MappedImage, white: float) -> list[np.ndarray]:
    """Return the pictures of an image, (3, H, W) each."""
    pictures = [
        each.image,
        heat(each.anomaly_map, white).transpose(2, 0, 1),
        each.truth[None].astype(np.float32),
    ]
    if each.found is not None:
        pictures.append(with_outline(each.image, each.found).transpose(2, 0, 1))
    return [picture if len(picture) in (1, 3) else picture[:1] for picture in pictures]
