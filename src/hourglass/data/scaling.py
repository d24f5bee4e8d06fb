"""Scale inputs for the network: the same arithmetic for numpy arrays and torch tensors."""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

Array = TypeVar("Array", bound=Any)
FEATURES = 8  # whose statistics are taken together


@dataclass(frozen=True)
class Scaling:
    """Map x to (x - offset) / scale, feature by feature; both are (F,) float32, or () of images."""

    kind: str
    offset: np.ndarray
    scale: np.ndarray

    @classmethod
    def of_images(cls, full_scale: float) -> "Scaling":
        """Return the division by the value that means white: pixels reach [0, 1]."""
        return cls("divide", np.float32(0), np.float32(full_scale))  # type: ignore[arg-type]

    @classmethod
    def none(cls) -> "Scaling":
        """Return what leaves values of any shape as they are."""
        return cls("none", np.zeros((), np.float32), np.ones((), np.float32))

    @classmethod
    def fit(cls, kind: Literal["standard", "minmax", "none"], train: np.ndarray) -> "Scaling":
        """Return the scaling of features (N, F) by the statistics of `train`.

        A feature that is constant on `train` is shifted, not scaled.
        """
        if kind == "none":
            width = train.shape[1]
            return cls(kind, np.zeros(width, np.float32), np.ones(width, np.float32))
        # A few features at a time: the whole in float64 would be twice the data.
        parts = np.array_split(train, -(-train.shape[1] // FEATURES), axis=1)
        found = [_statistics(kind, part.astype(np.float64)) for part in parts]
        offset, scale = np.concatenate(found, 1)
        narrow = scale.astype(np.float32)
        narrow[narrow == 0] = 1
        return cls(kind, offset.astype(np.float32), narrow)

    def __call__(self, x: Array) -> Array:
        """Return the scaled array (numpy), float32."""
        return (x.astype(np.float32) - self.offset) / self.scale

    def inverse(self, x: Array) -> Array:
        """Return a scaled array (numpy) in the units it had before, float32."""
        return x.astype(np.float32) * self.scale + self.offset

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes, as plain JSON values."""
        return {"kind": self.kind, "offset": self.offset.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Scaling":
        """Return the scaling that `to_dict` described."""
        offset, scale = (np.asarray(values[key], np.float32) for key in ("offset", "scale"))
        return cls(values["kind"], offset, scale)


def _statistics(kind: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what features (N, F) are shifted and divided by, (F,) each."""
    return (x.mean(0), x.std(0)) if kind == "standard" else (x.min(0), np.ptp(x, 0))
