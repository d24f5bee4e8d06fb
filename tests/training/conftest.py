"""A small training in memory, shared by the tests of training."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from hourglass.data.datamodule import DataModule
from hourglass.data.prepared_data import Split
from hourglass.data.scaling import Scaling
from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.checkpoints import last_epoch
from hourglass.training.trainer import fit_resumable, make_trainer
from tests.workspaces import LARGE_IMAGES_ONLY, SERIES_ONLY

SHAPE = (1, 8, 8)
SAMPLES, BATCH_SIZE = 71, 16  # five batches, the last of seven
BATCHES = 5
ROOT = Path(__file__).parents[2]
BOLTS = {"bolts_ae", "bolts_vae"}  # ResNets: one step takes as long as one of all others together
ALL_VARIANTS = pytest.mark.parametrize(
    "variant",
    [
        pytest.param(path.stem, marks=[pytest.mark.slow] * (path.stem in BOLTS))
        for path in sorted(ROOT.glob("configs/model/*.yaml"))
        if path.stem not in SERIES_ONLY | LARGE_IMAGES_ONLY
    ],
    indirect=True,
)


class Images(DataModule):
    """Serve images in [0, 1] of two latent dimensions, the same ones in every split."""

    def __init__(self, batch_size: int = BATCH_SIZE) -> None:
        super().__init__("none", batch_size)
        generator = torch.Generator().manual_seed(0)
        codes, directions = (torch.randn(n, 2, generator=generator) for n in (SAMPLES, 64))
        self.x = (2 * codes @ directions.T).sigmoid().reshape(SAMPLES, *SHAPE)

    def prepare_data(self) -> None:
        """Prepare nothing."""

    def setup(self, stage: str | None = None) -> None:
        """Check nothing."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return SHAPE

    def samples(
        self, name: Split, rank: int = 0, world_size: int = 1
    ) -> tuple[np.ndarray, Scaling]:
        return self.x.numpy()[rank::world_size], Scaling.none()


@dataclass
class Outcome:
    """The result of a training."""

    module: pl.LightningModule
    rows: list[dict[str, Any]]
    new_epochs: int
    checkpoint: dict[str, Any]

    @property
    def weights(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self.module.state_dict().values()]


@pytest.fixture
def training(tmp_path) -> Callable[..., Outcome]:
    """Give a function that trains a module in a folder; `prepare` is called with its trainer."""

    def train(
        module: pl.LightningModule,
        folder: str = "training",
        epochs: int = 3,
        prepare: Callable[[pl.Trainer], Any] = lambda trainer: None,
        batch_size: int = BATCH_SIZE,
        trial_callbacks: list[pl.Callback] | None = None,
        **trainer_options: Any,
    ) -> Outcome:
        settings = CellSettings(
            "none", "none", "", {}, Training(batch_size, epochs, epochs),
            {"accelerator": "cpu", "devices": 1} | trainer_options, 0,
        )  # fmt: skip
        path: Path = tmp_path / folder
        trainer, history = make_trainer(settings, path, None, trial_callbacks=trial_callbacks)
        prepare(trainer)
        new_epochs = fit_resumable(trainer, history, module, Images(batch_size))
        checkpoint = last_epoch(path / "last.ckpt") or {}
        return Outcome(module, history.rows, new_epochs, checkpoint)

    return train


@pytest.fixture
def same() -> Callable[[Any, Any], None]:
    """Give a function that asserts that two nested structures are equal, tensors to the bit."""

    def compare(one: Any, other: Any, where: str = "") -> None:
        if isinstance(one, Tensor):
            assert torch.equal(one, other), where
        elif isinstance(one, dict):
            assert one.keys() == other.keys(), where
            for key in one:
                compare(one[key], other[key], f"{where}.{key}")
        elif isinstance(one, list | tuple):
            assert len(one) == len(other), where
            for k, (a, b) in enumerate(zip(one, other, strict=True)):
                compare(a, b, f"{where}[{k}]")
        else:
            assert one == other, where

    return compare
