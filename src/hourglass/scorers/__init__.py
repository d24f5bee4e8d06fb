"""Scorers: from what a network makes of a sample to its score. `score` in params.yaml names one."""

from hourglass.scorers.base import Scorer, State
from hourglass.scorers.codes import Mahalanobis, Neighbors
from hourglass.scorers.combined import Combined
from hourglass.scorers.errors import OwnScore, StandardizedError
from hourglass.scorers.hidden import RaPP
from hourglass.scorers.images import RelativeError

__all__ = [
    "Combined",
    "Mahalanobis",
    "Neighbors",
    "OwnScore",
    "RaPP",
    "RelativeError",
    "Scorer",
    "StandardizedError",
    "State",
]
