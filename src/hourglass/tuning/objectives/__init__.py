"""Tuning objectives: each file in configs/tune/objective names one of these classes."""

from hourglass.tuning.objectives.base import Objective, Task
from hourglass.tuning.objectives.detection import (
    Detection,
    SyntheticDetection,
    unlabelled_objective,
)
from hourglass.tuning.objectives.features import Features
from hourglass.tuning.objectives.reconstruction import Denoising, Pareto, ReconstructionError

__all__ = [
    "Denoising",
    "Detection",
    "Features",
    "Objective",
    "Pareto",
    "ReconstructionError",
    "SyntheticDetection",
    "Task",
    "unlabelled_objective",
]
