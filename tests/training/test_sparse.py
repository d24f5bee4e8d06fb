"""Trainings of sparse dictionaries: both loops, a resumed training, and resampled units."""

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

from hourglass.models.dictionary_training import DictionaryTraining
from hourglass.training import checkpoints
from tests.training.conftest import SHAPE

SPARSITIES = ("l1", "topk", "batch_topk", "jumprelu", "gated", "matryoshka")


class Interruption(Exception):
    """In place of a kill."""


class Interrupter(pl.Callback):
    """Raise an Interruption at the end of an epoch."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 4:
            raise Interruption


@pytest.fixture(params=SPARSITIES)
def make(request, build):
    """Give a function that builds a dictionary, whose units die easily."""
    settings: dict[str, Any] = {"learning_rate": 0.03, "latent_dim": 96, "k": 3}
    return lambda **others: build("sparse", SHAPE, sparsity=request.param, **(settings | others))


def by_lightning(trainer: pl.Trainer) -> None:
    trainer.fit_loop.epoch_loop = _TrainingEpochLoop(trainer, None, trainer.max_steps)


def test_both_loops_give_the_same_weights_history_and_checkpoint(training, same, make):
    fast, lightning = training(make(), "fast"), training(make(), "plain", prepare=by_lightning)
    same(fast.weights, lightning.weights)
    same(fast.rows, lightning.rows)
    same(fast.checkpoint, lightning.checkpoint)


def test_a_resumed_training_equals_an_uninterrupted_one(training, same, make, monkeypatch):
    monkeypatch.setattr(checkpoints, "MAX_WRITING_SHARE", 1.0)
    whole = training(make(), "whole", epochs=8)
    with pytest.raises(Interruption):
        training(make(), "resumed", 8, lambda trainer: trainer.callbacks.append(Interrupter()))
    resumed = training(make(), "resumed", epochs=8)
    assert 0 < resumed.new_epochs < 8
    same(resumed.weights, whole.weights)
    same(resumed.rows, whole.rows)


def test_dead_units_of_l1_are_resampled_at_an_eighth_of_the_epochs(training, build, monkeypatch):
    epochs: list[int] = []
    monkeypatch.setattr(
        DictionaryTraining,
        "resample",
        lambda self, x: epochs.append(int(self.steps)) or torch.zeros(128, dtype=torch.bool),
    )
    training(build("sparse", SHAPE, sparsity="l1"), epochs=16)
    assert epochs == [5 * epoch for epoch in (2, 4, 6, 8)]


@pytest.mark.parametrize("schedule", ["linear_decay", "cosine"])
def test_the_learning_rate_ends_near_0_and_is_that_of_the_scale_of_the_samples(
    training, build, schedule
):
    rates: list[list[float]] = []

    class Reader(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    module = build("sparse", SHAPE, sparsity="topk", learning_rate=0.01, schedule=schedule)
    training(module, epochs=10, prepare=lambda trainer: trainer.callbacks.append(Reader()))
    assert module.dictionary.variance > 0
    scale = module.dictionary.variance.sqrt().item()
    assert all(two == pytest.approx(one * scale) for one, two in rates[1:])
    of_weights = [one for one, _ in rates]
    assert of_weights[0] == 0.01
    assert of_weights[-1] < 0.006
    if schedule == "linear_decay":
        assert of_weights == pytest.approx([0.01] * 9 + [0.005])
