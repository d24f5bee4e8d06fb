"""The settings of pixel thresholds; reading them does not import torch."""

import math
from dataclasses import dataclass
from typing import Any

from hourglass.core.errors import UserError
from hourglass.core.yaml_config import construct, resolve
from hourglass.detection.calibrators.base import check_fraction

IMAGE_RATE = 0.05  # the budget if none is set


@dataclass(frozen=True)
class PixelSettings:
    """The section `pixel_threshold` of params.yaml: a budget, and the settings of maps and defects.

    `smoothing` is that of the maps, unless the scorer is an AnomalyMap, which has its own. Regions
    of fewer than `min_area` pixels are no defects.
    """

    image_rate: float | None = None
    pixel_rate: float | None = None
    smoothing: float | None = None
    min_area: int = 1

    def __post_init__(self) -> None:
        if self.image_rate is not None and self.pixel_rate is not None:
            raise UserError("image_rate and pixel_rate exclude each other; omit one of them.")
        check_fraction(self.budget, self.rate)
        if self.min_area < 1:
            raise UserError(f"min_area is {self.min_area}, but must be at least 1 pixel.")
        check_smoothing(self.smoothing)

    @property
    def budget(self) -> str:
        """Return the name of the budget, image_rate or pixel_rate."""
        return "image_rate" if self.pixel_rate is None else "pixel_rate"

    @property
    def rate(self) -> float:
        """Return the rate of false alarms that the threshold may have."""
        if self.pixel_rate is not None:
            return self.pixel_rate
        return IMAGE_RATE if self.image_rate is None else self.image_rate


def read_pixel_settings(config: dict[str, Any]) -> PixelSettings:
    """Return the settings in `pixel_threshold` of params.yaml; raise a UserError for bad ones."""
    where = "params.yaml, pixel_threshold"
    settings: PixelSettings = construct(PixelSettings, resolve(PixelSettings, config, where), where)
    return settings


def check_smoothing(smoothing: float | None) -> None:
    """Raise a UserError for a standard deviation that is negative or not finite."""
    if smoothing is not None and not 0 <= smoothing < math.inf:
        raise UserError(f"smoothing is {smoothing}, but must be 0 or more pixels.")
