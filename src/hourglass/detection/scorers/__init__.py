"""Scorers map a network's forward pass to anomaly scores; `score` in params.yaml names one."""

from hourglass.detection.scorers.anomaly_map import AnomalyMap
from hourglass.detection.scorers.base import Scorer, State
from hourglass.detection.scorers.combined import Combined
from hourglass.detection.scorers.ensemble_score import EnsembleScore
from hourglass.detection.scorers.latent import Mahalanobis, Neighbors
from hourglass.detection.scorers.masked_reconstruction import MaskedReconstruction
from hourglass.detection.scorers.rapp import RaPP
from hourglass.detection.scorers.reconstruction import ModelScore, StandardizedError
from hourglass.detection.scorers.relative_error import RelativeError

__all__ = [
    "AnomalyMap",
    "Combined",
    "EnsembleScore",
    "Mahalanobis",
    "MaskedReconstruction",
    "ModelScore",
    "Neighbors",
    "RaPP",
    "RelativeError",
    "Scorer",
    "StandardizedError",
    "State",
]
