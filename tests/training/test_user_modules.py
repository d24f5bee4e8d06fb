"""Modules, callbacks and loggers of users in trainings of cells, and trainings that diverge."""

import csv
from collections.abc import Sequence
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from hourglass import networks
from hourglass.models.base import LitAutoencoder
from hourglass.training.trainer_file import build_plugins, trainer_config
from tests.training.conftest import SHAPE, Images

CPU = "configs/trainer/cpu.yaml"


class AbsoluteError(LitAutoencoder):
    """Minimise the mean absolute error, logged in the loss."""

    def __init__(self, sample_shape: Sequence[int], **training: Any) -> None:
        network = networks.Convolutional(sample_shape, 4, (4, 8), bounded=True)
        super().__init__(network, **training)

    def reconstruction_loss(self, x: Tensor, z: Tensor) -> Tensor:
        loss = functional.l1_loss(self.decode(z), x)
        self.log("train_l1", loss)
        return loss


class Hooked(LitAutoencoder):
    """Override the step, the optimizer and hooks, without calls of super()."""

    def __init__(self, sample_shape: Sequence[int], **training: Any) -> None:
        super().__init__(networks.Dense(sample_shape, 8, (32,), bounded=True), **training)
        self.batches = 0

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:  # type: ignore[override]
        loss = self.training_loss(batch)
        self.log("my_loss", loss, on_step=True, on_epoch=True)
        return loss

    def on_train_epoch_start(self) -> None:
        pass

    def on_train_batch_end(self, *_: Any) -> None:
        self.batches += 1

    def on_train_epoch_end(self) -> None:
        self.log("batches", float(self.batches))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), self.learning_rate, momentum=0.9)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        schedule = {"scheduler": plateau, "monitor": "validation_error"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


class Foreign(pl.LightningModule):
    """A LightningModule that does not extend LitAutoencoder: no schedule, no validation step."""

    def __init__(self, sample_shape: Sequence[int], learning_rate: float = 0.1) -> None:
        super().__init__()
        self.rate = learning_rate
        self.encoder = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 4))
        self.decoder = nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, SHAPE))

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def score(self, x: Tensor) -> Tensor:
        return (self.decode(self.encode(x)) - x).square().flatten(1).mean(1)

    def training_step(self, batch: Tensor, batch_idx: int) -> dict[str, Any]:
        return {"loss": self.score(batch).mean()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.rate)


class Manual(Foreign):
    def __init__(self, sample_shape: Sequence[int], learning_rate: float) -> None:
        super().__init__(sample_shape, learning_rate)
        self.automatic_optimization = False

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:  # type: ignore[override]
        optimizer, loss = self.optimizers(), self.score(batch).mean()
        optimizer.zero_grad()  # type: ignore[union-attr]
        self.manual_backward(loss)
        optimizer.step()  # type: ignore[union-attr]
        return loss


RATES = {AbsoluteError: 0.02, Hooked: 5.0, Foreign: 0.1, Manual: 0.1}
MODULES = pytest.mark.parametrize("kind", RATES)


def make(kind: Any, **settings: Any) -> Any:
    torch.manual_seed(0)
    return kind(SHAPE, learning_rate=RATES[kind], **settings)


def mean_score(module: Any) -> float:
    with torch.no_grad():
        return module.eval().score(Images().x).mean().item()


@MODULES
def test_a_module_of_the_user_trains_and_keeps_its_best_weights(training, kind):
    module = make(kind)
    before = mean_score(module)
    rows = training(module.train(), epochs=5).rows
    errors = [row["validation_error"] for row in rows]
    assert len(rows) == 5
    assert mean_score(module) == pytest.approx(min(errors))
    assert min(errors) < before
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]


@MODULES
def test_a_module_of_the_user_is_resumable_and_seeded(training, same, kind):
    # A cosine schedule would depend on the number of epochs.
    settings = {"schedule": "constant"} if issubclass(kind, LitAutoencoder) else {}
    whole = training(make(kind, **settings), "whole", epochs=4)
    torch.rand(7)
    training(make(kind, **settings), "interrupted", epochs=2)
    resumed = training(make(kind, **settings), "interrupted", epochs=4)
    assert resumed.new_epochs == 2
    same(resumed.rows, whole.rows)
    same(resumed.weights, whole.weights)


class WithoutLoss(Foreign):
    def training_step(self, batch: Tensor, batch_idx: int) -> None:  # type: ignore[override]
        return None


@pytest.mark.filterwarnings("ignore:`training_step` returned `None`")
def test_a_step_without_a_loss_is_refused_with_the_cause(training, refusal):
    sentence = refusal(training, WithoutLoss(SHAPE))
    assert "training_step" in sentence
    assert "learning_rate" not in sentence


class WithoutScore(Foreign):
    def score(self, x: Tensor) -> Tensor:
        return torch.full((len(x),), torch.nan)


def test_a_score_that_is_not_finite_before_the_training_is_refused_with_the_cause(
    training, refusal
):
    sentence = refusal(training, WithoutScore(SHAPE))
    assert "untrained network is nan" in sentence
    assert "learning_rate" not in sentence


def plugin(class_path: Any, **init_args: Any) -> dict[str, Any]:
    return {"class_path": class_path, "init_args": init_args}


STOPPING = "pytorch_lightning.callbacks.EarlyStopping"
CSV = "pytorch_lightning.loggers.CSVLogger"
PLUGINS = {
    "callbacks": [
        plugin(STOPPING, monitor="train_loss", min_delta=10.0, patience=2),
        plugin(
            "pytorch_lightning.callbacks.ModelCheckpoint",
            monitor="validation_error",
            filename="best",
        ),
    ],
    "logger": [
        plugin(CSV, save_dir="logs", version="run"),
        plugin("pytorch_lightning.loggers.TensorBoardLogger", save_dir="boards"),
    ],
}


def test_callbacks_and_loggers_of_the_trainer_file_take_part_and_change_no_weights(
    training, build, same, workspace, set_yaml, tmp_path, capsys
):
    for key, value in PLUGINS.items():
        set_yaml(CPU, key, value=value)
    options = trainer_config("cpu")
    assert {key: options[key] for key in PLUGINS} == PLUGINS
    outcome = training(build("denoising", SHAPE), epochs=9, **options)
    assert len(outcome.rows) == 3  # by EarlyStopping
    assert list(tmp_path.rglob("best.ckpt"))
    assert list((workspace / "boards").rglob("events*"))
    text = (workspace / "logs/lightning_logs/run/metrics.csv").read_text(encoding="utf-8")
    errors = [row["validation_error"] for row in csv.DictReader(text.splitlines())]
    logged = [float(error) for error in errors if error]
    assert logged == [row["validation_error"] for row in outcome.rows]
    assert "loop" not in capsys.readouterr().err
    same(outcome.weights, training(build("denoising", SHAPE), "plain", epochs=3).weights)


def test_a_trial_has_no_loggers(training, build, workspace):
    training(build("linear", SHAPE), trial_callbacks=[], **PLUGINS)
    assert not (workspace / "logs").exists()


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("callbacks", [plugin("pytorch_lightning.callbacks.EarlyStoping")], "EarlyStoping"),
        ("callbacks", [plugin(CSV)], "not a Callback"),
        ("callbacks", [plugin("os.system")], "os.system"),
        ("callbacks", [plugin(3)], "3"),
        ("callbacks", [{"class_pth": "x"}], "class_path"),
        ("callbacks", [plugin(STOPPING)], "monitor"),
        ("callbacks", "EarlyStopping", "list"),
        ("logger", [plugin(CSV, save_dri="logs")], "save_dir"),
        ("logger", True, "list"),
    ],
    ids=str,
)
def test_a_plugin_that_is_not_one_is_refused_by_file_and_key(set_yaml, refusal, key, value, part):
    set_yaml(CPU, key, value=value)
    sentence = refusal(trainer_config, "cpu")
    assert f"{CPU}, {key}" in sentence
    assert part in sentence


def test_a_plugin_that_cannot_be_built_is_refused(refusal):
    config = [plugin(STOPPING, monitor="train_loss", mode="maximum")]
    assert "maximum" in refusal(build_plugins, config, "callbacks")


GRADIENT = {"weight_decay": 1e-6}  # without it, `linear` needs no gradient steps


@pytest.mark.parametrize("resumed", [False, True])
def test_a_training_that_explodes_is_refused_with_its_learning_rate(
    training, build, refusal, resumed
):
    for _ in range(1 + resumed):
        module = build("linear", SHAPE, learning_rate=100.0, **GRADIENT)
        sentence = refusal(training, module, epochs=6)
    assert "diverged" in sentence
    assert "learning_rate (now 100.0)" in sentence


def test_a_training_that_overshoots_and_recovers_is_accepted(training, build):
    rows = training(build("linear", SHAPE, learning_rate=0.3, **GRADIENT), epochs=8).rows
    assert len(rows) == 8
