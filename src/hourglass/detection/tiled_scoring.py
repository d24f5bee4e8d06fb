"""Values of large images: those of their tiles, combined.

Pictures of tiles, such as reconstructions and anomaly maps, are merged at the resolution of the
image. Scores are combined to the highest or the mean one, and all other values are averaged. Memory
is bounded: tiles exist in batches only, and large pictures lie in files.
"""

from collections.abc import Callable

import numpy as np

from hourglass.data.scaling import TiledScaling
from hourglass.data.tiling import MergedImages, Tiles, is_picture
from hourglass.detection.inference import Extractor, map_batches
from hourglass.networks import Network

# A function from the features of tiles, (n, F), to their scores, (n,).
TileScore = Callable[[np.ndarray], np.ndarray]


def map_tiled(
    network: Network,
    x: np.ndarray,
    scaling: TiledScaling,
    *extractors: Extractor,
    tile_score: TileScore | None = None,
) -> list[np.ndarray]:
    """Return each extractor's values of unscaled images, (N, C, H, W): (N, ...) each.

    All extractors share one forward pass per tile. With `tile_score`, the first extractor gives the
    features of a score, which become the scores of the images, (N,) float64.
    """
    tiles = Tiles(x, scaling.tiling)
    found: list[MergedImages | list[np.ndarray]] = []
    for batch in map_batches(network, tiles, scaling, *extractors, overlap=tile_score is not None):
        for i, values in enumerate(batch):
            if not i and tile_score is not None:
                values = tile_score(values.astype(np.float64))
            if len(found) == i:
                pictures = is_picture(values, scaling.tiling)
                found.append(MergedImages(tiles, values.shape[1:-2]) if pictures else [])
            into = found[i]
            into.add(values) if isinstance(into, MergedImages) else into.append(values)
    results = []
    for i, parts in enumerate(found):
        if isinstance(parts, MergedImages):
            results.append(parts.result)
            continue
        how = scaling.tiling.combine if not i and tile_score is not None else "mean"
        results.append(tiles.combine(np.concatenate(parts), how))
    return results
