"""Checkpoints: the best weights, resuming after a crash, and starting again after a change."""

import dataclasses
import json
import threading
import time
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


def test_the_weights_are_those_of_the_best_epoch(training, same, make):
    whole = training(make(), "whole", epochs=12)
    best = int(np.argmin([row["validation_error"] for row in whole.rows]))
    assert best < 11, "the last epoch was the best, so nothing is shown"
    same(whole.weights, training(make(), "until the best", epochs=best + 1).weights)


@pytest.mark.parametrize("epoch", [1, 2, 5])
def test_a_resumed_training_equals_an_undisturbed_one(training, same, make, epoch):
    whole = training(make(), "whole", epochs=6)
    cut(training, make(), epoch, folder="cut", epochs=6)
    resumed = training(make(), "cut", epochs=6)
    same(resumed.weights, whole.weights)
    same(resumed.rows, whole.rows)


def test_epochs_that_were_not_written_are_repeated(training, same, make, monkeypatch):
    monkeypatch.setattr(checkpoints, "MAX_WRITING_SHARE", 1e-9)  # only the first and the last
    whole = training(make(), "whole", epochs=6)
    cut(training, make(), 5, folder="cut", epochs=6)
    resumed = training(make(), "cut", epochs=6)
    assert resumed.new_epochs == 5
    same(resumed.weights, whole.weights)
    same(resumed.rows, whole.rows)


def test_a_complete_training_is_not_repeated(training, same, make):
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
    module, kept = make(), BestAndLastCheckpoint(None)
    metrics = {checkpoints.MONITOR: 1.0}
    trainer = SimpleNamespace(callback_metrics=metrics)
    kept.on_train_epoch_end(trainer, module)
    first = kept.weights
    kept.on_train_epoch_end(trainer, module)
    assert kept.weights is first


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


def test_a_new_training_replaces_no_other(folder):
    state = resume_or_start(folder, SETTINGS, "data")
    assert state["token"]
    assert state["replaced"] == ""


def test_an_unchanged_training_is_resumed(folder):
    first = resume_or_start(folder, SETTINGS, "data")
    (folder / "last.ckpt").write_text("an epoch")
    assert resume_or_start(folder, SETTINGS, "data") == first
    assert (folder / "last.ckpt").exists()


@pytest.mark.parametrize("what", OTHERS)
def test_a_change_starts_the_training_again(folder, what):
    first = resume_or_start(folder, SETTINGS, "data")
    (folder / "last.ckpt").write_text("an epoch")
    second = resume_or_start(folder, *OTHERS[what])
    assert second["token"] != first["token"]
    assert second["replaced"] == first["token"]
    assert [path.name for path in folder.iterdir()] == ["state.json"]


def test_other_ranks_find_the_state_of_rank_zero(folder):
    resume_or_start(folder, SETTINGS, "data")
    before = (folder / "state.json").read_bytes()
    wait_for_rank_zero(folder, SETTINGS, "data")
    assert (folder / "state.json").read_bytes() == before


@pytest.mark.parametrize("stale", [False, True])
def test_other_ranks_wait_for_rank_zero_and_write_nothing(folder, stale):
    if stale:
        resume_or_start(folder, *OTHERS["the seed"])
    seen = {"waiting": False}

    def main() -> None:
        time.sleep(0.3)
        seen["waiting"] = other.is_alive()
        resume_or_start(folder, SETTINGS, "data")

    other = threading.Thread(target=wait_for_rank_zero, args=(folder, SETTINGS, "data"))
    other.start()
    main()
    other.join(timeout=10)
    assert seen["waiting"]
    assert not other.is_alive()
    assert [path.name for path in folder.iterdir()] == ["state.json"]


def test_waiting_for_rank_zero_has_a_timeout(folder, monkeypatch, refusal):
    monkeypatch.setattr("hourglass.training.checkpoints.RANK_ZERO_TIMEOUT_SECONDS", 0)
    assert folder.as_posix() in refusal(wait_for_rank_zero, folder, SETTINGS, "data")
    assert not folder.exists()


def test_a_damaged_checkpoint_is_removed(tmp_path, capsys):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"half")
    assert last_epoch(path) is None
    assert not path.exists()
    assert "starts from the beginning" in capsys.readouterr().err


def test_a_state_is_json_that_a_person_can_read(folder):
    state = resume_or_start(folder, SETTINGS, "data")
    assert json.loads((folder / "state.json").read_text()) == state
