"""Anomaly maps of many images, in batches or in a file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hourglass.data.scaling import Encoding
from hourglass.data.streaming import release_pages
from hourglass.detection.anomaly_maps import MapSettings, image_size
from hourglass.detection.inference import map_batches
from hourglass.networks import Network


def map_images(
    network: Network, x: np.ndarray, scaling: Encoding, settings: MapSettings
) -> Iterator[np.ndarray]:
    """Yield the maps of unscaled images, (N, C, H, W), in batches, (n, H, W) float32, in order."""
    for (maps,) in map_batches(network, x, scaling, settings):
        yield maps


def write_maps(
    network: Network, x: np.ndarray, scaling: Encoding, settings: MapSettings, path: Path
) -> np.ndarray:
    """Write the maps of unscaled images to a raw file; return them mapped, (N, H, W) float32.

    A batch is in memory at a time.
    """
    shape = (len(x), *image_size(network))
    result = np.memmap(path, np.float32, "w+", shape=shape)
    start = 0
    for maps in map_images(network, x, scaling, settings):
        result[start : start + len(maps)] = maps
        start += len(maps)
        release_pages(result)
    return result
