"""A network as a restorer of the user's own images, in the sizes that it can take."""

from dataclasses import dataclass

import numpy as np
import torch

from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.detection.detector import Detector
from hourglass.detection.scoring import reconstructions
from hourglass.models.corruption import enlarged, grey
from hourglass.networks.weights import trained_with
from hourglass.studies.restoration.tiling import tiled


@dataclass(frozen=True)
class Restorer:
    """Restore images (C, H, W) with a detector's network.

    One that was trained with `downsampling` takes small images too: whatever is not of the
    network's own size is enlarged that many times first, as in training. One that was trained with
    `grey` sees the luma of colours alone. With `tile` images may be larger than the network's.
    """

    detector: Detector
    downsampling: int = 1
    grey: bool = False
    tile: bool = False

    @classmethod
    def load(cls, cell: Cell, tile: bool) -> "Restorer":
        """Return that of a trained and calibrated cell; raises a UserError for tables."""
        detector = Detector.of_cell(cell)
        if detector.feature_names:
            raise UserError(
                f"{cell.data} is a table, but only images can be restored; name a data set of "
                "images."
            )
        settings = trained_with(cell.output("train"))["init_args"]
        # A cell that was trained before there were these settings has neither.
        factor, colourless = settings.get("downsampling", 1), settings.get("grey", False)
        return cls(detector, factor, colourless, tile)

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Return whether images of this shape, (C, H, W), can be restored."""
        channels, *window = self.detector.sample_shape
        if not (shape[0] == channels or (self.grey and shape[0] == 1)):
            return False
        size = self._size(shape)
        larger = all(side >= own for side, own in zip(size, window, strict=True))
        return size == tuple(window) or (self.tile and larger)

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images, (n, C, H, W) unscaled, as the network sees them, and restored.

        Both are (n, C, H', W') float32 in the scaled units; what is restored lies in [0, 1].
        """
        seen = self._seen(x)
        _, height, width = self.detector.sample_shape
        if seen.shape[2:] == (height, width):
            found = self._restore(seen)
        else:
            found = np.stack([tiled(each, (height, width), self._restore) for each in seen])
        scaled = np.asarray(self.detector.scoring.scaling(seen))
        return scaled, np.clip(found, 0, 1)

    def _restore(self, x: np.ndarray) -> np.ndarray:
        return reconstructions(self.detector.scoring.network, x, self.detector.scoring.scaling)

    def _size(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return height and width as the network sees them."""
        own, size = self.detector.sample_shape[1:], shape[1:]
        if size == own:
            return size
        large = tuple(self.downsampling * side for side in size)
        # The last pixels of a side that `downsampling` does not divide stand for fewer.
        cut = tuple(-(-side // self.downsampling) for side in own)
        return own if size == cut else large

    def _seen(self, x: np.ndarray) -> np.ndarray:
        """Return images at the size that they are restored in, unscaled."""
        channels = self.detector.sample_shape[0]
        found = torch.from_numpy(np.array(x)).expand(-1, channels, -1, -1)
        height, width = self._size(x.shape[1:])
        if (height, width) != x.shape[2:]:
            found = enlarged(found, self.downsampling)[..., :height, :width]
        return (grey(found.float()) if self.grey else found).numpy()
