"""The best epoch's weights are kept, and the last epoch is written now and then."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl

from hourglass.training import checkpoints
from hourglass.training.checkpoints import BestAndLastCheckpoint
from tests.training.conftest import SHAPE


class Cut(Exception):
    pass


class Cutter(pl.Callback):
    """End a training as it begins an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            raise Cut


@pytest.fixture
def make(build):
    """Give a function that builds a variant whose noise and learning rate can overshoot."""
    return lambda: build("denoising", SHAPE, learning_rate=0.05)


def cut(training, module, epoch: int, **options) -> None:
    with pytest.raises(Cut):
        training(module, prepare=lambda each: each.callbacks.insert(0, Cutter(epoch)), **options)


def test_the_weights_are_those_of_the_epoch_of_the_least_error(training, same, make):
    whole = training(make(), "whole", epochs=12)
    best = int(np.argmin([row["validation_error"] for row in whole.rows]))
    assert best < 11, "the last epoch was the best, so nothing is shown"
    same(whole.weights, training(make(), "until the best", epochs=best + 1).weights)


@pytest.mark.parametrize("epoch", [1, 2, 5])
def test_a_training_that_was_cut_ends_as_an_undisturbed_one(training, same, make, epoch):
    whole = training(make(), "whole", epochs=6)
    cut(training, make(), epoch, folder="cut", epochs=6)
    resumed = training(make(), "cut", epochs=6)
    same(resumed.weights, whole.weights)
    same(resumed.rows, whole.rows)


def test_epochs_that_were_not_written_are_made_up_for(training, same, make, monkeypatch):
    monkeypatch.setattr(
        checkpoints, "SHARE", 1e9
    )  # so that only the first and the last are written
    whole = training(make(), "whole", epochs=6)
    cut(training, make(), 5, folder="cut", epochs=6)
    resumed = training(make(), "cut", epochs=6)
    assert resumed.new_epochs == 5
    same(resumed.weights, whole.weights)
    same(resumed.rows, whole.rows)


def test_a_training_that_was_done_is_not_repeated(training, same, make):
    first = training(make(), epochs=4)
    second = training(make(), epochs=4)
    assert second.new_epochs == 0
    same(first.weights, second.weights)
    same(first.rows, second.rows)


def test_writing_takes_at_most_a_fiftieth_of_the_time(training, make, monkeypatch):
    clock, written = SimpleNamespace(now=0.0), []

    class Epoch(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            clock.now += 1.0

    def save(trainer: pl.Trainer, path: Path) -> None:
        clock.now += 0.25
        written.append(clock.now)

    def prepare(trainer: Any) -> None:
        trainer.callbacks.insert(0, Epoch())

    monkeypatch.setattr(BestAndLastCheckpoint, "_save", staticmethod(save))
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: clock.now))
    training(make(), epochs=38, prepare=prepare)
    # The first epoch, every thirteenth one after it, and the last.
    assert np.diff(written).tolist() == [13.25, 13.25, 11.25]
    assert len(written) * 0.25 <= clock.now / 50 + 2 * 0.25


def test_a_checkpoint_cut_short_by_a_full_disk_leaves_the_one_before(tmp_path):
    (tmp_path / "last.ckpt").write_text("before")

    def save(path: Path) -> None:
        path.write_text("ha")
        raise OSError(28, "No space left on device")

    trainer: Any = SimpleNamespace(save_checkpoint=save, is_global_zero=True)
    with pytest.raises(OSError, match="No space"):
        BestAndLastCheckpoint._save(trainer, tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_text() == "before"


def test_a_trial_writes_nothing_and_has_its_best_weights(training, same, make, tmp_path):
    kept = training(make(), "kept", epochs=5)
    trial = training(make(), "trial", epochs=5, watching=[])
    assert not (tmp_path / "trial").exists()
    same(trial.weights, kept.weights)


def test_equal_errors_keep_the_first_epochs_weights(make):
    module, kept = make(), BestAndLastCheckpoint(None)
    metrics = {checkpoints.MONITOR: 1.0}
    trainer = SimpleNamespace(callback_metrics=metrics)
    kept.on_train_epoch_end(trainer, module)
    first = kept.weights
    kept.on_train_epoch_end(trainer, module)
    assert kept.weights is first
