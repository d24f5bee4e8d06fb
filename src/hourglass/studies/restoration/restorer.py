"""Restoration of the user's images by a trained network, for the command `restore`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.data.scaling import TiledScaling
from hourglass.data.tiling import MergedImages, Tiles, Tiling
from hourglass.detection.detector import Detector
from hourglass.detection.scoring import reconstructions
from hourglass.evaluation import figures
from hourglass.models.corruption import enlarged, grey
from hourglass.networks.weights import trained_with

SHEET_IMAGES, SHEET_COLUMNS = 20, 10
THUMBNAIL_PIXELS = 256  # maximum side


@dataclass(frozen=True)
class Restorer:
    """A restorer of images (C, H, W) by a detector's network.

    `downsampling` and `grey` are the corruptions that the network was trained with. Images reduced
    by the factor `downsampling` are enlarged to the network's size, as in training. If `grey` is
    true, the network's input is the luma. If `tile` is true, images larger than the network's input
    are restored in overlapping windows; they are first enlarged by `downsampling`.
    """

    detector: Detector
    downsampling: int = 1
    grey: bool = False
    tile: bool = False

    @classmethod
    def load(cls, cell: Cell, tile: bool) -> "Restorer":
        """Load the network of a trained and calibrated cell.

        Raises a UserError for tables.
        """
        detector = Detector.of_cell(cell)
        if detector.feature_names:
            raise UserError(
                f"{cell.data} is a table, but only images can be restored; name a data set of "
                "images."
            )
        settings = trained_with(cell.output("train"))["init_args"]
        return cls(detector, settings.get("downsampling", 1), settings.get("grey", False), tile)

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Return whether images of a shape, (C, H, W), can be restored."""
        channels, *window = self.detector.sample_shape
        if shape[0] != channels and not (self.grey and shape[0] == 1):
            return False
        if self._takes_any_size:
            return True
        size = self._input_size(shape)
        if self.tile:
            return all(side >= least for side, least in zip(size, window, strict=True))
        return size == tuple(window)

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Restore unscaled images (n, C, H, W); return the network's input and the restored images.

        Both are (n, C', H', W') float32 in scaled units: H' and W' are those of `_input_size`, C'
        is that of the network. Restored images are clipped to [0, 1].
        """
        images, scoring = self._network_input(x), self.detector.scoring
        window = self.detector.sample_shape[1:]

        def restore(unscaled: np.ndarray) -> np.ndarray:
            return reconstructions(scoring.network, unscaled, scoring.scaling)

        if images.shape[2:] == window or self._takes_any_size:
            restored = restore(images)
        else:
            restored = np.stack([tiled(image, window, restore) for image in images])
        return np.asarray(scoring.scaling(images)), np.clip(restored, 0, 1)

    @property
    def _takes_any_size(self) -> bool:
        """Return whether the network was trained on tiles of images."""
        return isinstance(self.detector.scoring.scaling, TiledScaling)

    def _input_size(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the height and width at which images of a shape are restored."""
        expected, size = self.detector.sample_shape[1:], shape[1:]
        enlarged_size = tuple(self.downsampling * side for side in size)
        if self._takes_any_size:
            return enlarged_size
        if size == expected:
            return size
        # If `downsampling` does not divide a side, the last pixel of a reduced image is partial.
        reduced = tuple(-(-side // self.downsampling) for side in expected)
        return expected if size == reduced else enlarged_size

    def _network_input(self, x: np.ndarray) -> np.ndarray:
        """Convert unscaled images to the channels of the network and to their `_input_size`."""
        channels = self.detector.sample_shape[0]
        images = torch.from_numpy(np.array(x)).expand(-1, channels, -1, -1)
        height, width = self._input_size(x.shape[1:])
        if (height, width) != x.shape[2:]:
            images = enlarged(images, self.downsampling)[..., :height, :width]
        return (grey(images.float()) if self.grey else images).numpy()


def tiled(
    x: np.ndarray, window: tuple[int, ...], restore: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Restore an image, (C, H, W), in blended windows that overlap by half.

    `window` is (height, width), not larger than the image. `restore` maps windows, (n, C, height,
    width), to restored windows of the same shape.
    """
    height, width = window
    tiles = Tiles(x[None], Tiling(len(x), height, width, overlap=0.5))
    merged = MergedImages(tiles, x.shape[:1])
    count = len(tiles.tiling.starts(x.shape[2], width))
    for start in range(0, len(tiles), count):  # one row of windows at a time, to save memory
        merged.add(restore(tiles[start : start + count]))
    return np.asarray(merged.result[0])


@dataclass
class ContactSheet:
    """Thumbnails of the first SHEET_IMAGES pairs of input and output."""

    pairs: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, before: np.ndarray, after: np.ndarray) -> None:
        """Add a pair of images, (C, H, W) in [0, 1], unless the sheet is full."""
        if len(self.pairs) < SHEET_IMAGES:
            self.pairs.append((_thumbnail(before), _thumbnail(after)))

    def draw(self, path: Path) -> None:
        """Draw inputs above outputs, SHEET_COLUMNS pairs per strip; save the figure to `path`."""
        strips = []
        for start in range(0, len(self.pairs), SHEET_COLUMNS):
            before, after = zip(*self.pairs[start : start + SHEET_COLUMNS], strict=True)
            strips.append(figures.Strip("", {"input": list(before), "output": list(after)}))
        figures.save(figures.sheet(strips), path)


def to_pillow(x: np.ndarray) -> Image.Image:
    """Convert an image, (1 or 3, H, W) in [0, 1], to Pillow's type."""
    pixels = np.round(np.clip(x, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def _thumbnail(x: np.ndarray) -> np.ndarray:
    """Shrink an image, (1 or 3, H, W) in [0, 1], to at most THUMBNAIL_PIXELS per side."""
    image = to_pillow(x)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))  # works in place and never enlarges
    pixels = np.asarray(image, np.float32) / 255
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
