"""Images with their anomaly maps: heat, and the outline of defects, as arrays of pixels."""

import numpy as np
from matplotlib import colormaps

PREDICTED = (0.0, 0.9, 1.0)  # colour of the outline of found defects: neither grey nor heat
HEAT = 0.5  # opacity of the heat at and above the threshold
PIXELS_PER_OUTLINE = 128  # the outline is a pixel wide per as many pixels of the shorter side


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Return an image, (C, H, W) in [0, 1], as red, green and blue, (H, W, 3).

    Images of other than three channels are shown as the grey mean of their channels.
    """
    pixels = np.clip(image, 0, 1)
    if len(pixels) != 3:
        pixels = np.repeat(pixels.mean(0, keepdims=True), 3, 0)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0), np.float32)


def heat(anomaly_map: np.ndarray, white: float) -> np.ndarray:
    """Return a map, (H, W), in colours, (H, W, 3); pixels of `white` and above are the lightest."""
    return np.asarray(colormaps["inferno"](anomaly_map / max(white, 1e-30)))[..., :3]


def outline(mask: np.ndarray) -> np.ndarray:
    """Return the pixels around the true regions of a mask, (H, W) bool, which stay visible."""
    from scipy.ndimage import binary_dilation

    width = max(1, round(min(mask.shape) / PIXELS_PER_OUTLINE))
    around: np.ndarray = binary_dilation(mask, np.ones((3, 3), bool), width) & ~mask
    return around


def with_outline(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return an image, (C, H, W) in [0, 1], with the outline of a mask, as (H, W, 3)."""
    pixels = as_rgb(image)
    pixels[outline(mask)] = PREDICTED
    return pixels


def overlay(image: np.ndarray, anomaly_map: np.ndarray, white: float) -> np.ndarray:
    """Return an image, (C, H, W) in [0, 1], under the heat of its map, (H, W), as (H, W, 3).

    The heat is transparent where the map is low. `white` is the value of the lightest heat.
    """
    opacity = HEAT * np.clip(anomaly_map / max(white, 1e-30), 0, 1)[..., None]
    mixed: np.ndarray = (1 - opacity) * as_rgb(image) + opacity * heat(anomaly_map, white)
    return mixed
