"""Checkpoints: the best weights, resuming after a crash, and starting again after a change."""

import dataclasses
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl

from hourglass.training import checkpoints
from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.checkpoints import (
    BestAndLastCheckpoint,
    last_epoch,
    resume_or_start,
    wait_for_rank_zero,
)
from tests.training.conftest import SHAPE


class Interruption(Exception):
    pass


class Interrupter(pl.Callback):
    """End a training as it begins an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            raise Interruption


@pytest.fixture
def make(build):
    """Give a function that builds a variant whose noise and learning rate can overshoot."""
    return lambda: build("denoising", SHAPE, learning_rate=0.05)


def test_the_weights_are_those_of_the_best_epoch(training, same, make):
    whole = training(make(), "whole", epochs=12)
    best = int(np.argmin([row["validation_error"] for row in whole.rows]))
    assert best < 11, "the last epoch was the best, so nothing is shown"
    same(whole.weights, training(make(), "until the best", epochs=best + 1).weights)


@pytest.mark.parametrize(
    ("epoch", "writing_share", "new_epochs"),
    [(1, 1.0, 5), (2, 1.0, 4), (5, 1.0, 1), (5, 1e-9, 5)],  # the last writes the first epoch only
)
def test_a_resumed_training_equals_an_uninterrupted_one(
    training, same, make, monkeypatch, epoch, writing_share, new_epochs
):
    monkeypatch.setattr(checkpoints, "MAX_WRITING_SHARE", writing_share)
    whole = training(make(), "whole", epochs=6)
    interrupter = Interrupter(epoch)
    with pytest.raises(Interruption):
        training(make(), "interrupted", 6, lambda trainer: trainer.callbacks.append(interrupter))
    resumed = training(make(), "interrupted", epochs=6)
    assert resumed.new_epochs == new_epochs
    same(resumed.weights, whole.weights)
    same(resumed.rows, whole.rows)


def test_a_complete_training_is_not_repeated(training, same, make):
    first, second = (training(make(), epochs=4) for _ in range(2))
    assert second.new_epochs == 0
    same(first.weights, second.weights)
    same(first.rows, second.rows)


def test_writing_takes_at_most_a_fiftieth_of_the_time(training, make, monkeypatch):
    clock, written = SimpleNamespace(now=0.0), []

    class Epoch(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            clock.now += 1.0

    def save(trainer: pl.Trainer, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.touch()
        clock.now += 0.25
        written.append(clock.now)

    def prepare(trainer: Any) -> None:
        trainer.callbacks.insert(0, Epoch())

    monkeypatch.setattr(pl.Trainer, "save_checkpoint", save)
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: clock.now))
    training(make(), epochs=38, prepare=prepare)
    # The first epoch, every thirteenth one after it, and the last.
    assert np.diff(written).tolist() == [13.25, 13.25, 11.25]
    assert len(written) * 0.25 <= clock.now / 50 + 2 * 0.25


def test_a_full_disk_leaves_the_previous_checkpoint(training, make, monkeypatch, tmp_path):
    first = training(make(), epochs=2)

    def save(trainer: pl.Trainer, path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.Trainer, "save_checkpoint", save)
    with pytest.raises(OSError, match="No space"):
        training(make(), epochs=3)
    assert last_epoch(tmp_path / "training/last.ckpt")["epoch"] == first.checkpoint["epoch"]


def test_a_trial_writes_nothing_and_has_its_best_weights(training, same, make, tmp_path):
    kept = training(make(), "kept", epochs=5)
    trial = training(make(), "trial", epochs=5, trial_callbacks=[])
    assert not (tmp_path / "trial").exists()
    same(trial.weights, kept.weights)


def test_equal_errors_keep_the_first_epochs_weights(make):
    module, checkpoint = make(), BestAndLastCheckpoint(None)
    trainer: Any = SimpleNamespace(callback_metrics={checkpoints.MONITOR: 1.0})
    checkpoint.on_train_epoch_end(trainer, module)
    first = checkpoint.weights
    checkpoint.on_train_epoch_end(trainer, module)
    assert checkpoint.weights is first


LINEAR = "hourglass.models.linear.Linear"
SETTINGS = CellSettings("digits", "linear", LINEAR, {"latent_dim": 8}, Training(), {}, 0)
OTHERS = {
    "a setting": (dataclasses.replace(SETTINGS, init_args={"latent_dim": 9}), "data"),
    "the seed": (dataclasses.replace(SETTINGS, seed=1), "data"),
    "the data": (SETTINGS, "other data"),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "checkpoints" / "cell"


def test_an_unchanged_training_is_resumed(folder):
    first = resume_or_start(folder, SETTINGS, "data")
    assert first["token"]
    assert first["replaced"] == ""
    assert json.loads((folder / "state.json").read_text()) == first
    (folder / "last.ckpt").write_text("an epoch")
    assert resume_or_start(folder, SETTINGS, "data") == first
    assert (folder / "last.ckpt").exists()


@pytest.mark.parametrize("change", OTHERS)
def test_a_change_starts_the_training_again(folder, change):
    first = resume_or_start(folder, SETTINGS, "data")
    (folder / "last.ckpt").write_text("an epoch")
    second = resume_or_start(folder, *OTHERS[change])
    assert second["token"] != first["token"]
    assert second["replaced"] == first["token"]
    assert [path.name for path in folder.iterdir()] == ["state.json"]


@pytest.mark.parametrize("is_stale", [False, True])
def test_other_ranks_wait_for_rank_zero_and_write_nothing(folder, is_stale):
    if is_stale:
        resume_or_start(folder, *OTHERS["the seed"])
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(wait_for_rank_zero, folder, SETTINGS, "data")
        time.sleep(0.3)
        assert not other.done()
        resume_or_start(folder, SETTINGS, "data")
        before = (folder / "state.json").read_bytes()
        other.result(timeout=10)
    assert [path.name for path in folder.iterdir()] == ["state.json"]
    assert (folder / "state.json").read_bytes() == before


def test_waiting_for_rank_zero_has_a_timeout(folder, monkeypatch, refusal):
    monkeypatch.setattr(checkpoints, "RANK_ZERO_TIMEOUT_SECONDS", 0)
    assert folder.as_posix() in refusal(wait_for_rank_zero, folder, SETTINGS, "data")
    assert not folder.exists()


def test_a_damaged_checkpoint_is_removed(tmp_path, capsys):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"half")
    assert last_epoch(path) is None
    assert not path.exists()
    assert "starts from the beginning" in capsys.readouterr().err
