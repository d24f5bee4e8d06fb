"""Every variant trains under a plain Trainer, with any DataLoader, as Lightning modules do."""

import copy
import csv
import math
from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from hourglass.models.undercomplete import Undercomplete
from tests.training.conftest import ALL_VARIANTS

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
SHAPE = (1, 8, 8)
X: Any = torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(0))
BATCHES = {
    "tensors": lambda: DataLoader(X, 8),
    "lists of one": lambda: DataLoader(TensorDataset(X), 8),
    "pairs": lambda: DataLoader(TensorDataset(X, torch.arange(20)), 8),
}


@pytest.fixture
def fit(tmp_path) -> Callable[..., pl.Trainer]:
    """Give a function that trains a module on the CPU and returns its Trainer."""

    def train(module: pl.LightningModule, *loaders: Any, **options: Any) -> pl.Trainer:
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        defaults: dict[str, Any] = {"max_epochs": 2, "accelerator": "cpu", "devices": 1, **quiet}
        trainer = pl.Trainer(default_root_dir=tmp_path, **(defaults | options))
        trainer.fit(module, *(loaders or (DataLoader(X, 8), DataLoader(X, 8))))
        return trainer

    return train


def metrics_of(trainer: pl.Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


@ALL_VARIANTS
def test_every_variant_trains_under_a_plain_trainer(build, variant, fit):
    module = build(variant, SHAPE, schedule="cosine")
    before = copy.deepcopy(module.state_dict())
    trainer = fit(module)
    assert any(not torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert math.isfinite(metrics_of(trainer)["train_loss"])
    if variant == "masked":  # its validation error is that of hidden cells, see test_masked
        assert math.isfinite(metrics_of(trainer)["validation_error"])
        return
    with torch.no_grad():
        expected = module.eval().score(X).mean().item()
    assert metrics_of(trainer)["validation_error"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("loaders", [1, 2], ids=["training only", "with validation"])
def test_any_data_loader_gives_the_same_weights(build, fit, batches, loaders):
    module, other = (build("undercomplete", SHAPE) for _ in range(2))
    trainer = fit(module, *(BATCHES[batches]() for _ in range(loaders)))
    fit(other)
    assert all(map(torch.equal, module.parameters(), other.parameters()))
    assert ("validation_error" in metrics_of(trainer)) == (loaders == 2)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_train_loss_is_the_mean_of_the_losses_of_the_epoch(build, fit, accumulated):
    module, losses = build("undercomplete", SHAPE), []
    loss = module.training_loss
    module.training_loss = lambda x: losses.append(loss(x)) or losses[-1]
    trainer = fit(module, accumulate_grad_batches=accumulated)
    assert len(losses) == 6
    expected = torch.stack(losses[3:]).mean().item()
    assert metrics_of(trainer)["train_loss"] == pytest.approx(expected, rel=1e-6)


def test_the_users_seed_decides_the_noise(build, fit):
    """A plain Trainer does not seed epochs."""
    weights = []
    for seed in (1, 1, 2):
        module = build("denoising", SHAPE)
        torch.manual_seed(seed)
        fit(module)
        weights.append(torch.nn.utils.parameters_to_vector(module.parameters()))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_callbacks_and_loggers_of_the_user_see_both_means(build, fit, tmp_path):
    stop = EarlyStopping("train_loss", min_delta=10.0, patience=2)
    best = ModelCheckpoint(tmp_path / "best", "{epoch}", monitor="validation_error")
    logger = CSVLogger(tmp_path, "csv", "0")
    trainer = fit(
        build("undercomplete", SHAPE),
        max_epochs=9,
        callbacks=[stop, EarlyStopping("validation_error"), best],
        logger=logger,
        log_every_n_steps=1,
    )
    assert stop.stopped_epoch == 2
    assert best.best_model_path
    assert float(best.best_model_score) <= metrics_of(trainer)["validation_error"]
    text = (tmp_path / "csv/0/metrics.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    for name in ("train_loss", "validation_error"):
        values = {row["epoch"]: float(row[name]) for row in rows if row[name]}
        assert list(values) == ["0", "1", "2"]
        assert values["2"] == pytest.approx(metrics_of(trainer)[name])


def test_validate_returns_the_validation_error(build, fit):
    module = build("undercomplete", SHAPE)
    trainer = fit(module)
    (result,) = trainer.validate(module, DataLoader(X, 8), verbose=False)
    assert result["validation_error"] == pytest.approx(module.score(X).mean().item(), rel=1e-5)


class OwnStep(Undercomplete):
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:  # type: ignore[override]
        loss = self.training_loss(batch)
        self.log("step_loss", loss, on_step=True, on_epoch=True)
        return loss


class OwnLoss(Undercomplete):
    def training_loss(self, x: Tensor) -> Tensor:
        loss = 2 * super().training_loss(x)
        self.log("doubled", loss)
        return loss


class OwnHooks(Undercomplete):
    def on_train_epoch_start(self) -> None:
        self.batches = 0

    def on_train_batch_end(self, *_: Any) -> None:
        self.batches += 1

    def on_train_epoch_end(self) -> None:
        self.log("batches", float(self.batches))

    on_validation_epoch_start = on_validation_epoch_end = lambda self: None


class OwnMeans(Undercomplete):
    """Log other values under the names of the means, from the same hooks."""

    def validation_step(self, batch: Tensor) -> None:  # type: ignore[override]
        self.log("validation_error", 7.0)

    def on_train_epoch_end(self) -> None:
        self.log("train_loss", 5.0)


@pytest.mark.parametrize(
    ("kind", "logged"),
    [(OwnStep, "step_loss_epoch"), (OwnLoss, "doubled"), (OwnHooks, "batches")],
)
def test_steps_losses_and_hooks_may_be_overridden_without_super(fit, kind, logged):
    metrics = metrics_of(fit(kind(SHAPE, 4)))
    assert metrics.keys() >= {"train_loss", "validation_error", logged}
    assert metrics.get("batches", 3) == 3


def test_a_value_that_the_module_logs_takes_precedence(fit):
    stop = EarlyStopping("validation_error", patience=1)
    trainer = fit(OwnMeans(SHAPE, 4), callbacks=[stop], max_epochs=5)
    assert metrics_of(trainer) == {"train_loss": 5.0, "validation_error": 7.0}
    assert float(stop.best_score) == 7.0


class OwnOptimizer(Undercomplete):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), self.learning_rate)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "monitor": "validation_error"},
        }


def test_a_schedule_may_monitor_the_validation_error(fit):
    trainer = fit(OwnOptimizer(SHAPE, 4))
    best = trainer.lr_scheduler_configs[0].scheduler.best
    assert best == pytest.approx(metrics_of(trainer)["validation_error"], rel=1e-3)


def test_a_cosine_schedule_without_max_epochs_is_refused(build, fit, refusal):
    module = build("undercomplete", SHAPE, schedule="cosine")
    assert "max_epochs" in refusal(fit, module, max_epochs=-1, max_steps=3)


def test_the_readme_example_trains(fit):
    module = Undercomplete(sample_shape=(1, 28, 28), latent_dim=8)
    x = torch.rand(6, 1, 28, 28)
    fit(module, DataLoader(x))
    assert module.score(x).shape == (6,)
