"""Scores and samples in, pictures out. The same colours mean the same everywhere."""

from hourglass.evaluation.figures.curves import histogram, precision_recall, roc
from hourglass.evaluation.figures.restoration import Strip, restoration, sheet
from hourglass.evaluation.figures.samples import Group, contributions, generated, samples
from hourglass.evaluation.figures.style import save

__all__ = [
    "Group",
    "Strip",
    "contributions",
    "generated",
    "histogram",
    "precision_recall",
    "restoration",
    "roc",
    "samples",
    "save",
    "sheet",
]
