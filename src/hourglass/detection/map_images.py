"""Anomaly maps of many images, in batches or in a file."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hourglass.data.large_arrays import MAX_BYTES_IN_MEMORY
from hourglass.data.scaling import Encoding, TiledScaling
from hourglass.data.streaming import release_pages
from hourglass.data.tiling import clear_padding
from hourglass.detection.anomaly_maps import MapSettings, image_size
from hourglass.detection.inference import map_batches
from hourglass.detection.tiled_scoring import map_tiled
from hourglass.networks import Network


def map_images(
    network: Network, x: np.ndarray, scaling: Encoding, settings: MapSettings
) -> Iterator[np.ndarray]:
    """Yield the maps of unscaled images, (N, C, H, W), in batches, (n, H, W) float32, in order.

    Those of tiles are merged, and are NaN in the padding of images of different sizes.
    """
    if isinstance(scaling, TiledScaling):
        step = max(1, MAX_BYTES_IN_MEMORY // (4 * math.prod(x.shape[2:])))
        for start in range(0, len(x), step):
            part = x[start : start + step]
            (maps,) = map_tiled(network, part, scaling, settings)
            clear_padding(maps, scaling.tiling.sizes(part))
            yield maps
        return
    for (maps,) in map_batches(network, x, scaling, settings):
        yield maps


def write_maps(
    network: Network, x: np.ndarray, scaling: Encoding, settings: MapSettings, path: Path
) -> np.ndarray:
    """Write the maps of unscaled images to a raw file; return them mapped, (N, H, W) float32.

    A batch is in memory at a time.
    """
    size = x.shape[2:] if isinstance(scaling, TiledScaling) else image_size(network)
    shape = (len(x), *size)
    result = np.memmap(path, np.float32, "w+", shape=shape)
    start = 0
    for maps in map_images(network, x, scaling, settings):
        result[start : start + len(maps)] = maps
        start += len(maps)
        release_pages(result)
    return result
