"""Helpers for tests of whole stages: run a cell, and follow the training of digits-denoising."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.stages.train import train
from tests.workspaces import Project

SAMPLES = 722  # of digits, in train
FIGURES = (
    *("contributions", "generated", "histogram", "precision_recall", "roc", "samples"),
    *("timeline", "latent_codes"),  # of a series
)


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
            save=lambda pixel, path, name: pixel.save(path),
        ))  # fmt: skip
        yield


def epochs_kept(project: Project) -> int:
    """Return the number of epochs in the last checkpoint; 0 if there is none."""
    path = project / "checkpoints/digits-denoising/last.ckpt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    return len(state["callbacks"]["History"]["rows"])


def new_epochs(project: Project) -> int:
    """Return the number of epochs in the last run of `train`, computed from its throughput."""
    timing = project.read("runs/digits/denoising/tracking/train.json")
    return round(timing["seconds"] * timing["samples_per_second"] / SAMPLES)
