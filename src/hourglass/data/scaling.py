"""Scaling of network inputs, fitted on the train split; `batches.Scaled` applies it to tensors."""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

Array = TypeVar("Array", bound=Any)


@dataclass(frozen=True)
class Scaling:
    """The map x -> (x - offset) / scale; offset and scale are (F,) float32, or () for images."""

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

    @classmethod
    def fit(cls, kind: Literal["standard", "minmax", "none"], train: np.ndarray) -> "Scaling":
        """Fit the scaling of features to `train`, (N, F).

        A feature that is constant on `train` is shifted, not scaled.
        """
        x = train.astype(np.float64)
        if kind == "standard":
            offset, scale = x.mean(0), x.std(0)
        elif kind == "minmax":
            offset, scale = x.min(0), np.ptp(x, 0)
        else:
            offset, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
        scale = scale.astype(np.float32)
        scale[scale == 0] = 1
        return cls(kind, offset.astype(np.float32), scale)

    def refit(self, train: np.ndarray) -> "Scaling":
        """Return the scaling of the same kind, fitted to other samples; images keep theirs."""
        return self.fit(self.kind, train) if self.offset.ndim else self  # type: ignore[arg-type]

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
