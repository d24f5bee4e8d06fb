"""Scaling of images, and of codes; for tables, see `data.table_encoding`."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.table_encoding import TableEncoding
from hourglass.data.tiling import Tiles, Tiling
from hourglass.data.vector_encoding import VectorEncoding

Array = TypeVar("Array", bound=Any)


@dataclass(frozen=True)
class Scaling:
    """The map x -> (x - offset) / scale; offset and scale are () float32."""

    kind: str
    offset: np.ndarray
    scale: np.ndarray

    @classmethod
    def of_images(cls, full_scale: float) -> "Scaling":
        """Return the scaling of pixels to [0, 1]; `full_scale` is the pixel value of white."""
        return cls("divide", np.float32(0), np.float32(full_scale))  # type: ignore[arg-type]

    @classmethod
    def none(cls) -> "Scaling":
        """Return the identity for values of any shape."""
        return cls("none", np.zeros((), np.float32), np.ones((), np.float32))

    def refit(self, train: np.ndarray) -> "Scaling":
        """Return the scaling of other samples, which is the same."""
        return self

    def __call__(self, x: Array) -> Array:
        """Scale a numpy array; the result is float32."""
        return (x.astype(np.float32) - self.offset) / self.scale

    def inverse(self, x: Array) -> Array:
        """Map a scaled numpy array back to original units; the result is float32."""
        return x.astype(np.float32) * self.scale + self.offset

    def to_dict(self) -> dict[str, Any]:
        """Return the scaling as JSON values, for `from_dict`."""
        return {"kind": self.kind, "offset": self.offset.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Scaling":
        """Return the scaling from the values of `to_dict`."""
        offset, scale = (np.asarray(values[key], np.float32) for key in ("offset", "scale"))
        return cls(values["kind"], offset, scale)


@dataclass(frozen=True)
class TiledScaling(Scaling):
    """The scaling of large images, (N, C, H, W), of which networks take tiles.

    Arrays of images of different sizes have one more channel, which is dropped; see `tiling`.
    """

    tiling: Tiling

    @classmethod
    def of(cls, scaling: Scaling, tiling: Tiling) -> "TiledScaling":
        """Return the same scaling of pixels, for tiles."""
        return cls("tiled", scaling.offset, scaling.scale, tiling)

    def __call__(self, x: Any) -> Any:
        """Scale images, (N, C or C + 1, H, W): (N, C, H, W) float32."""
        pixels: np.ndarray = super().__call__(self.tiling.pixels(x))
        return pixels

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of a network input, (C, h, w)."""
        return self.tiling.shape

    def input_count(self, x: np.ndarray) -> int:
        """Return the number of tiles of images, (N, C or C + 1, H, W)."""
        return self.tiling.input_count(x)

    def to_dict(self) -> dict[str, Any]:
        """Return the scaling as JSON values, for `from_dict`."""
        return {**super().to_dict(), "tiling": self.tiling.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TiledScaling":
        """Return the scaling from the values of `to_dict`."""
        return cls.of(Scaling.from_dict(values), Tiling(**values["tiling"]))


Encoding: TypeAlias = Scaling | TableEncoding  # of samples, as network inputs


def network_samples(scaling: Encoding, x: np.ndarray) -> np.ndarray | Tiles:
    """Return unscaled samples as networks take them: the tiles of large images, else `x`."""
    return Tiles(x, scaling.tiling) if isinstance(scaling, TiledScaling) else x


def filled_inputs(scaling: Encoding, x: np.ndarray) -> np.ndarray:
    """Return network inputs with 0 in missing cells, for methods that take no NaN.

    That is the mean of a number, and no level of a category.
    """
    inputs: np.ndarray = np.nan_to_num(scaling(x), copy=False, nan=0.0)
    return inputs


def encoding_from_dict(values: dict[str, Any]) -> Encoding:
    """Return the scaling or the encoding of a table from the values of `to_dict`."""
    kinds: dict[str, type[Encoding]] = {
        "table": TableEncoding,
        "series": SeriesEncoding,
        "tiled": TiledScaling,
        "vectors": VectorEncoding,
    }
    return kinds.get(values["kind"], Scaling).from_dict(values)


def affine_constants(
    scaling: Encoding, input_shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return offset and scale of each element of a flat input, (D,) float64.

    Raises a UserError if inputs are not (x - offset) / scale of the elements of a sample: for
    series, and for tables with other columns than plain numbers. Numbers more than 20 scales from
    the offset are inputs on a logarithmic scale, which is ignored.
    """
    if isinstance(scaling, SeriesEncoding) or (
        isinstance(scaling, TableEncoding) and not scaling.is_linear
    ):
        raise UserError(
            "the inputs of the network are not the scaled elements of a sample; only images, "
            "vectors, and tables of numbers without missing cells, whose scaling is neither log "
            "nor quantile, have such inputs."
        )
    elements = math.prod(input_shape)
    offset, scale = (
        np.broadcast_to(np.asarray(constant, np.float64), elements).copy()
        for constant in (scaling.offset, scaling.scale)
    )
    return offset, scale
