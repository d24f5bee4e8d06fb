"""Batches of tiles of large images, without materialising the tiles."""

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from hourglass.core.settings import Residency
from hourglass.data.streaming import copy_to_memory, prefetch, release_pages
from hourglass.data.tiling import Tiles


class TileBatches:
    """The tiles of a split, (n, C, h, w), as an iterable of batches, like `residency.Rows`.

    With residency "device", the images are one tensor on the device, of which a tile is a view; so
    memory is that of the images and a batch. With "host" and "stream", a thread cuts the tiles of
    each batch from host memory or from the mapped file. `transform` scales tiles.
    """

    def __init__(
        self,
        tiles: Tiles,
        residency: Residency,
        device: torch.device,
        transform: Callable[[Tensor], Tensor],
    ) -> None:
        self.tiles, self.transform, self.device = tiles, transform, device
        self.view: Tensor | None = None  # all tiles at all pixels of all images, and some beyond
        if residency == "stream":
            return
        if not tiles.x.flags.writeable:  # a mapped file is read-only
            tiles.x = copy_to_memory(tiles.x)
            vars(tiles).pop("view", None)
        if residency == "device" or device.type != "cuda":
            self.view = tile_view(torch.from_numpy(tiles.x).to(device), tiles.tiling.shape)
            first = tiles.image * math.prod(tiles.x.shape[1:]) + tiles.corner @ (
                tiles.x.shape[3],
                1,
            )
            self.first = torch.from_numpy(first).to(device)

    def __len__(self) -> int:
        """Return the number of tiles of this process."""
        return len(self.tiles)

    def batches(self, order: Tensor | None, positions: Iterable[slice]) -> Iterator[Tensor]:
        """Yield one batch, (m, C, h, w), per slice of `order`, the indices of tiles.

        If `order` is None, the slices select tiles directly.
        """
        if self.view is not None:
            first = self.first if order is None else self.first[order.to(self.device)]
            # As fast as from materialised tiles; indexing would copy by element.
            unscaled = (self.view.index_select(0, first[part]) for part in positions)
        else:
            rows = np.arange(len(self)) if order is None else order.numpy()
            unscaled = (
                tiles.to(self.device, non_blocking=True)
                for tiles in prefetch(self._gather(rows[part]) for part in positions)
            )
        yield from map(self.transform, unscaled)

    def _gather(self, rows: np.ndarray) -> Tensor:
        batch = torch.from_numpy(self.tiles[rows])
        release_pages(self.tiles.x)
        return batch.pin_memory() if self.device.type == "cuda" else batch


def tile_view(images: Tensor, tile: tuple[int, int, int]) -> Tensor:
    """Return tiles at all elements of contiguous images, (N, C, H, W), as a view, (n, C, h, w).

    The tile at row t and column l of image i is at i * C * H * W + t * W + l.
    """
    images = images.contiguous()
    _, _, height, width = images.shape
    steps = (height * width, width, 1)
    last = sum((side - 1) * step for side, step in zip(tile, steps, strict=True))
    return images.as_strided((max(0, images.numel() - last), *tile), (1, *steps))
