"""Thresholds on the pixels of anomaly maps, with a stated rate of false alarms.

Both budgets hold if new normal images are exchangeable with the calibration images, for any
distribution of the maps; no pixels of one image need to be independent.

`image_rate`: at most this share of normal images has a pixel above the threshold. It is the
conformal threshold on the highest pixel of each map (Vovk et al. 2005).

`pixel_rate`: of the pixels of a normal image, at most this share is above the threshold, on
average over images. It is conformal risk control (Angelopoulos et al. 2022, theorem 1), with the
share of alarmed pixels as the loss of an image, at most 1: the lowest threshold at which the total
loss of n images is at most (n + 1) * pixel_rate - 1.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.anomaly_maps import MapSettings
from hourglass.detection.calibrators.conformal import Conformal
from hourglass.detection.pixel_settings import PixelSettings
from hourglass.detection.threshold import Threshold


@dataclass(frozen=True)
class PixelAlarms:
    """The settings of maps and the pixel threshold, to find defects in images."""

    maps: MapSettings
    threshold: Threshold | None = None  # on the pixels of maps
    min_area: int = 1
    refused: str = ""  # why there is no threshold

    def require_threshold(self) -> float:
        """Return the threshold's value; raise a UserError if there is none."""
        if self.threshold is None:
            raise UserError(
                self.refused
                or "the detector has no pixel threshold, as it was calibrated by an earlier "
                "version; calibrate it again."
            )
        return self.threshold.value

    def to_dict(self) -> dict[str, Any]:
        """Return the content for detector.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "PixelAlarms":
        """Return the object of `to_dict`; raise a ValueError, TypeError or KeyError otherwise."""
        threshold = content["threshold"]
        return cls(
            MapSettings(**content["maps"]),
            None if threshold is None else Threshold.from_dict(threshold, "pixels"),
            int(content["min_area"]),
            str(content["refused"]),
        )


@dataclass
class PixelCalibration:
    """Collects from the maps of normal images what their threshold needs.

    For `image_rate` it holds a number per image, for `pixel_rate` the share `pixel_rate` of all
    pixels. `images` is the largest number of images that there will be. NaN is the padding of an
    image: no pixel. A pixel of a smaller image is a larger share of it, and weighs more.
    """

    settings: PixelSettings
    images: int
    maxima: list[np.ndarray] = field(default_factory=list)  # of the pixels of each image, (n,)
    # (k, 2): the highest pixels, and `pixels` / the number of pixels of their image.
    highest: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    pixels: int = 0  # of an image, its padding included

    def add(self, batches: Iterable[np.ndarray]) -> None:
        """Add batches of maps, (n, H, W) each."""
        for maps in batches:
            self.pixels = maps[0].size
            self.maxima.append(np.fmax.reduce(maps, (1, 2)).astype(np.float64))
            if self.settings.budget == "pixel_rate":
                self._add_pixels(maps.reshape(len(maps), -1))

    def _add_pixels(self, values: np.ndarray) -> None:
        """Keep the highest of all pixels so far and of those of images, (n, pixels)."""
        count = self._most_alarms(self.images) + 1
        lowest = self.highest[:, 0].min() if len(self.highest) == count else -np.inf
        weight = self.pixels / np.maximum((~np.isnan(values)).sum(1), 1)
        image, pixel = np.nonzero(values >= lowest)  # False for NaN
        found = np.stack([values[image, pixel], weight[image]], 1)
        self.highest = np.concatenate([self.highest, found])
        if len(self.highest) > count:
            order = np.argpartition(self.highest[:, 0], -count)
            self.highest = self.highest[order[-count:]]

    def result(self, maps: MapSettings, folds: int | None = None) -> PixelAlarms:
        """Return the threshold on `maps`; without one, the reason, if there are too few images."""
        min_area = self.settings.min_area
        try:
            threshold = self.threshold()
        except UserError as error:
            return PixelAlarms(maps, None, min_area, str(error))
        if folds is not None:
            settings = {**threshold.settings, "folds": folds}
            threshold = replace(threshold, method=f"cross_{threshold.method}", settings=settings)
        return PixelAlarms(maps, threshold, min_area)

    def threshold(self) -> Threshold:
        """Return the threshold; raise a UserError if there are too few images for the budget."""
        maxima = np.concatenate(self.maxima) if self.maxima else np.zeros(0)
        n, rate, budget = len(maxima), self.settings.rate, self.settings.budget
        if not np.isfinite(maxima).all():
            raise UserError("a map of a calibration image is not finite; train again.")
        if round((n + 1) * rate, 9) < 1:
            raise UserError(
                f"pixel_threshold with {budget} {rate:g} needs "
                f"{math.ceil(round(1 / rate - 1, 9)):,} normal calibration images, but there "
                f"{'is' if n == 1 else 'are'} {n:,}: the smallest possible rate is "
                f"{1 / (n + 1):.4f}; raise {budget} in params.yaml or calibrate on more images."
            )
        if budget == "image_rate":
            found = Conformal(rate)(maxima)
            return replace(found, settings={"image_rate": rate})
        values, weights = self.highest[np.argsort(-self.highest[:, 0])].T
        place = np.searchsorted(np.cumsum(weights), self._most_alarms(n), "right")
        value = float(values[min(place, len(values) - 1)])
        return Threshold(value, "conformal_risk_control", {"pixel_rate": rate}, n, rate)

    def _most_alarms(self, n: int) -> int:
        """Return the number of pixels of n images that may be above the threshold."""
        return max(0, math.floor(round(self.pixels * ((n + 1) * self.settings.rate - 1), 6)))
