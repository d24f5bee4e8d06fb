"""What a study optimises. Each file of configs/tune/objective names one of these classes."""

from hourglass.tuning.objectives.base import Objective, Task
from hourglass.tuning.objectives.denoising import Denoising
from hourglass.tuning.objectives.detection import Detection
from hourglass.tuning.objectives.features import Features
from hourglass.tuning.objectives.reconstruction import Pareto, ReconstructionError
from hourglass.tuning.objectives.synthetic import SyntheticDetection

__all__ = [
    "Denoising",
    "Detection",
    "Features",
    "Objective",
    "Pareto",
    "ReconstructionError",
    "SyntheticDetection",
    "Task",
]
