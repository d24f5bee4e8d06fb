"""Matplotlib figures of scores and samples, with the same colour for the same meaning."""

from hourglass.evaluation.figures.comparisons import restoration
from hourglass.evaluation.figures.generation import generated
from hourglass.evaluation.figures.images import Strip, sheet
from hourglass.evaluation.figures.latent_codes import latent_codes
from hourglass.evaluation.figures.samples import Group, contributions, samples
from hourglass.evaluation.figures.scores import histogram, precision_recall, roc
from hourglass.evaluation.figures.style import save
from hourglass.evaluation.figures.timeline import timeline

__all__ = [
    "Group",
    "Strip",
    "contributions",
    "generated",
    "histogram",
    "latent_codes",
    "precision_recall",
    "restoration",
    "roc",
    "samples",
    "save",
    "sheet",
    "timeline",
]
