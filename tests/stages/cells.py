"""Helpers for tests of whole stages: run a cell, with or without its figures."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from PIL import Image

from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.stages.train import train

FIGURES = ("contributions", "generated", "histogram", "precision_recall", "roc", "samples")


def run_cell(data: str, model: str) -> None:
    """Train, calibrate and evaluate a cell."""
    train(data, model)
    calibrate_threshold(data, model)
    evaluate(data, model)


@contextmanager
def no_figures() -> Iterator[None]:
    """Write one pixel instead of each figure of a cell: drawing takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hourglass.evaluation.cell_figures.figures", SimpleNamespace(
            **dict.fromkeys(FIGURES, lambda *_: Image.new("L", (1, 1))),
            save=lambda pixel, path: pixel.save(path),
        ))  # fmt: skip
        yield
