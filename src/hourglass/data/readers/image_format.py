"""The form of the images of a data set: what `prepare` decides and `score` repeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from PIL import ImageColor

from hourglass.data.geometry import Fit, Geometry
from hourglass.data.readers.deep_images import Layout
from hourglass.data.readers.pixels import with_channels

TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))  # the narrowest first


NATIVE = Geometry()  # keeps the size of images


@dataclass(frozen=True)
class ImageFormat:
    """Channels, type of number and geometry of images; `background` is behind transparent ones."""

    channels: int
    dtype: np.dtype
    geometry: Geometry = NATIVE
    grey: bool = False  # colours are removed
    background: str = "white"

    def fit(self, pixels: np.ndarray, name: object, geometry: Geometry | None = None) -> np.ndarray:
        """Return an image, (H, W, C), in its own type of number, with channels and geometry.

        `geometry` replaces that of the format. Raises a UserError, which names the image, if its
        channels do not fit.
        """
        return (geometry or self.geometry)(with_channels(pixels, self.channels, name))

    def geometry_from(self, height: int, width: int) -> Geometry:
        """Return the map to images of (height, width); those of another size may be resized."""
        is_own = self.geometry.size == (height, width)
        return Geometry((height, width), self.geometry.fit if is_own else "resize")

    def holds(self, layout: Layout) -> bool:
        """Return whether images of a layout lose no channel and no depth in this format."""
        has_channels = self.grey or layout.channels <= self.channels
        return has_channels and TYPES.index(layout.dtype) <= TYPES.index(self.dtype)

    def settings(self) -> dict[str, Any]:
        """Return what the shape and type of the images do not tell, as JSON values."""
        size = self.geometry.size
        return {
            "size": None if size is None else list(size),
            "fit": self.geometry.fit,
            "grey": self.grey,
            "background": self.background,
        }

    def check(self) -> None:
        """Raise a ValueError or TypeError if the settings cannot be used."""
        ImageColor.getrgb(self.background)
        size = self.geometry.size
        if self.geometry.fit not in get_args(Fit) or type(self.grey) is not bool:
            raise ValueError(f"the form of the images is {self.settings()!s:.80}")
        if size is not None and not all(type(side) is int and side > 0 for side in size):
            raise ValueError(f"the size of the images is {size!s:.40}")

    @classmethod
    def of_inputs(cls, inputs: Mapping[str, Any]) -> "ImageFormat":
        """Return the format of prepared images, from their card or a detector's metadata.

        Images of one channel without `settings` are grey ones.
        """
        found = inputs.get("images", {})
        size = found.get("size")
        channels = inputs["sample_shape"][0]
        return cls(
            channels,
            np.dtype(inputs["dtype"]),
            Geometry(None if size is None else (size[0], size[1]), found.get("fit", "pad")),
            found.get("grey", channels == 1),
            found.get("background", "white"),
        )
