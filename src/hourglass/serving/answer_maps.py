"""Anomaly maps and defects in the answer to a request."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from hourglass.detection.defects import Defect

WHITE = 255


def map_columns(
    maps: np.ndarray, defects: Sequence[list[Defect]], threshold: float
) -> dict[str, np.ndarray]:
    """Return the columns `pixel_threshold`, `map` and `defects` of images, from maps, (N, H, W).

    A map is a grey PNG in base64: white is twice the pixel threshold or more, so that pixels above
    it are 128 or more. Defects are lists of objects with the fields of `Defect`.
    """
    columns = {
        "map": [_png(each, threshold) for each in maps],
        "defects": [[vars(defect) for defect in of_image] for of_image in defects],
    }
    found = {"pixel_threshold": np.full(len(maps), threshold)}
    for name, values in columns.items():
        found[name] = np.empty(len(maps), object)
        found[name][:] = values
    return found


def _png(anomaly_map: np.ndarray, threshold: float) -> str:
    """Return a map as a PNG in base64; NaN, the padding of an image, is black."""
    share = np.nan_to_num(anomaly_map) / max(2 * threshold, 1e-30)
    pixels = np.rint(WHITE * np.clip(share, 0, 1)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
