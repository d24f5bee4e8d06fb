"""Defects: connected regions of an anomaly map above the pixel threshold."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hourglass.data.geometry import Geometry

if TYPE_CHECKING:
    import pandas as pd

NEIGHBOURS = np.ones((3, 3), bool)  # a pixel belongs to the region of all eight around it


@dataclass(frozen=True)
class Defect:
    """A region of one image; sizes and places are in pixels of the map, or of the original."""

    number: int  # in its image, 1 has the highest score
    area: int
    x: int  # of the left edge of its box
    y: int  # of the upper edge
    width: int
    height: int
    score: float  # the highest pixel
    mean_score: float


def label_defects(
    anomaly_map: np.ndarray, threshold: float, min_area: int = 1
) -> tuple[np.ndarray, int]:
    """Return the numbers of the regions of a map, (H, W), above a threshold, and their count.

    They are numbered from 1. Pixels that touch at a corner belong to one region. Regions of fewer
    than `min_area` pixels are left out, with 0 as their number.
    """
    from scipy.ndimage import label

    labels, count = label(anomaly_map > threshold, NEIGHBOURS)
    if min_area > 1 and count:
        kept = np.bincount(labels.ravel(), minlength=count + 1) >= min_area
        kept[0] = False
        numbers = (np.cumsum(kept) * kept).astype(labels.dtype)
        labels, count = numbers[labels], int(kept.sum())
    return labels, int(count)


def defects_of_map(anomaly_map: np.ndarray, threshold: float, min_area: int = 1) -> list[Defect]:
    """Return the defects of one map, (H, W), by descending score."""
    from scipy.ndimage import find_objects

    if not (anomaly_map > threshold).any():
        return []
    labels, count = label_defects(anomaly_map, threshold, min_area)
    found = []
    for number, (rows, columns) in enumerate(find_objects(labels, count), 1):
        pixels = anomaly_map[rows, columns][labels[rows, columns] == number].astype(np.float64)
        box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        found.append((len(pixels), *box, float(pixels.max()), float(pixels.mean())))
    found.sort(key=lambda region: -region[5])
    return [Defect(number, *region) for number, region in enumerate(found, 1)]


def in_original(defect: Defect, geometry: Geometry, height: int, width: int) -> Defect:
    """Return a defect in the pixels of the original, (height, width), that `geometry` mapped."""
    box = defect.x, defect.y, defect.x + defect.width, defect.y + defect.height
    x, y, right, bottom = geometry.original_box(box, height, width)
    size = right - x, bottom - y
    area = max(1, round(defect.area * geometry.original_area(height, width)))
    # A box is smaller than its area if a part of the defect is in the padding.
    return replace(
        defect, area=min(area, size[0] * size[1]), x=x, y=y, width=size[0], height=size[1]
    )


def defect_frame(defects: Iterable[list[Defect]]) -> "pd.DataFrame":
    """Return the table of the defects of images: a row per defect, `image` counts from 0."""
    import pandas as pd

    rows = [
        {"image": image, **vars(defect)}
        for image, of_image in enumerate(defects)
        for defect in of_image
    ]
    return pd.DataFrame(rows, columns=["image", *Defect.__dataclass_fields__])
