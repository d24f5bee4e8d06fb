"""Scores of images from their anomaly maps."""

from typing import Any, Literal

from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.detection.anomaly_maps import MapSettings, Source
from hourglass.detection.scorers.base import Array, ScoreFunction, Scorer
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks.feature import top_mean


class AnomalyMap(Scorer):
    """Reduce the anomaly map of an image to a score.

    `reduction` is the highest pixel ("max"), the mean of all pixels ("mean"), or the mean of the
    share `top_share` of the highest pixels ("top"). A small defect changes the mean error of an
    image little, but the highest pixels of its map much. `smoothing`, `of` and `patch` are those of
    the map, see `MapSettings`.
    """

    name = "anomaly_map"
    is_fitted = False

    def __init__(
        self,
        reduction: Literal["max", "mean", "top"] = "max",
        top_share: float = 0.01,
        smoothing: float | None = None,
        of: Source = "error",
        patch: int = 4,
    ) -> None:
        if reduction not in ("max", "mean", "top"):
            raise UserError(f"reduction is {reduction!r}, but must be max, mean or top.")
        if not 0 < top_share <= 1:
            raise UserError(f"top_share is {top_share}, but must be above 0 and at most 1.")
        self.reduction = reduction
        self.top_share = top_share
        self.smoothing = smoothing
        self.of = of
        self.patch = patch
        MapSettings(smoothing, of, patch)  # checks them

    @property
    def maps(self) -> MapSettings:
        """Return the settings of the maps."""
        return MapSettings(self.smoothing, self.of, self.patch)

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the score of each image, (N, 1)."""
        pixels = self.maps(forward).flatten(1)
        if self.reduction == "max":
            return pixels.amax(1, keepdim=True)
        if self.reduction == "top":
            return top_mean(pixels, self.top_share)[:, None]
        return pixels.mean(1, keepdim=True)

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return the identity."""
        return lambda features: features[:, 0]


def settings_of(scorer: Any, smoothing: float | None) -> MapSettings:
    """Return the settings of a detector's maps: those of its scorer if that is an AnomalyMap."""
    return scorer.maps if isinstance(scorer, AnomalyMap) else MapSettings(smoothing)
