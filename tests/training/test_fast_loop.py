"""The fast loop gives the same weights, history and checkpoints as Lightning's, to the bit."""

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from torch.utils._python_dispatch import TorchDispatchMode

from hourglass.training import fast_loop
from hourglass.training.acceleration import Step
from hourglass.training.fast_loop import STEP_HOOKS, FastEpochLoop
from tests.training.conftest import ALL_VARIANTS, BATCHES, SHAPE, Outcome


@pytest.fixture
def module(build, variant):
    """Give a function that builds a variant, trained at a learning rate that changes."""
    return lambda: build(variant, SHAPE, schedule="cosine")


@pytest.fixture
def undercomplete(build):
    return lambda **settings: build("undercomplete", SHAPE, **settings)


@pytest.fixture
def taken(monkeypatch) -> list[int]:
    """Give a list with the batch size of each step of the fast loop."""
    sizes: list[int] = []
    make = fast_loop.make_step

    def make_counted(*args: Any) -> Step:
        step = make(*args)

        def counted(batch: torch.Tensor) -> torch.Tensor:
            sizes.append(len(batch))
            return step(batch)

        return counted

    monkeypatch.setattr(fast_loop, "make_step", make_counted)
    return sizes


def by_lightning(trainer: pl.Trainer) -> None:
    trainer.fit_loop.epoch_loop = _TrainingEpochLoop(trainer, None, trainer.max_steps)


def unchanged(trainer: pl.Trainer) -> None:
    """Leave a trainer its fast loop."""


def outcomes_are_the_same(training, same, make, **options: Any) -> int:
    """Check that the fast loop equals Lightning's; return the number of epochs."""
    fast = training(make(), "fast", **options)
    lightning = training(make(), "lightning", prepare=by_lightning, **options)
    same(fast.weights, lightning.weights)
    same(fast.rows, lightning.rows)
    same(fast.checkpoint, lightning.checkpoint)
    return len(fast.rows)


@ALL_VARIANTS
def test_both_loops_give_the_same_weights_history_and_checkpoint(training, same, module, taken):
    epochs = outcomes_are_the_same(training, same, module)
    assert taken == epochs * (BATCHES - 1) * [16]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limit_train_batches": 3},
        {"limit_train_batches": 1},
        {"overfit_batches": 2},
        {"limit_val_batches": 1},
        {"precision": "bf16-mixed"},
        {"batch_size": 71},
    ],
    ids=str,
)
def test_both_loops_agree_for_other_settings(training, same, undercomplete, options, taken, capsys):
    settings = {"schedule": "warmup_cosine", "warmup_epochs": 1}  # another rate in every step
    outcomes_are_the_same(training, same, lambda: undercomplete(**settings), **options)
    assert capsys.readouterr().err == ""
    assert taken or options in ({"limit_train_batches": 1}, {"batch_size": 71})


@pytest.mark.parametrize(
    "prepares", [(by_lightning, unchanged), (unchanged, by_lightning)], ids=["first", "second"]
)
def test_a_training_of_either_loop_resumes_in_the_other(training, same, undercomplete, prepares):
    def train(folder: str, epochs: int, prepare: Any = unchanged) -> Outcome:
        return training(undercomplete(schedule="constant"), folder, epochs, prepare)

    whole, _ = train("whole", 4), train("interrupted", 2, prepares[0])
    resumed = train("interrupted", 4, prepares[1])
    assert resumed.new_epochs == 2
    same(resumed.weights, whole.weights)
    same(resumed.rows, whole.rows)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accumulate_grad_batches", 2),
        ("gradient_clip_val", 0.01),
        ("max_steps", 7),
        ("val_check_interval", 2),
        ("profiler", "simple"),
        ("precision", "bf16-true"),
    ],
)
def test_settings_that_need_lightnings_loop_are_left_to_it_without_a_message(
    training, same, undercomplete, taken, capsys, caplog, name, value
):
    caplog.set_level("DEBUG", "hourglass.training.fast_loop")
    outcomes_are_the_same(training, same, undercomplete, **{name: value})
    assert taken == []
    assert "Lightning's loop" not in capsys.readouterr().err
    assert f"{name} is set" in caplog.text


def test_the_fast_loop_can_be_disabled(training, same, undercomplete, taken):
    outcomes_are_the_same(training, same, undercomplete, fast_loop=False)
    assert taken == []


def test_an_acceleration_that_needs_the_fast_loop_is_not_dropped_silently(
    training, undercomplete, capsys
):
    training(undercomplete(), acceleration="compile", gradient_clip_val=0.01)
    assert "compile is not used, as the trainer's gradient_clip_val" in capsys.readouterr().err


def variant_with(module: pl.LightningModule, **attributes: Any) -> pl.LightningModule:
    module.__class__ = type("Own", (type(module),), attributes)
    return module


@pytest.mark.parametrize("hook", STEP_HOOKS[:6])
def test_a_callback_that_overrides_a_step_hook_is_called(training, undercomplete, taken, hook):
    calls: list[int] = []
    watcher = type("Watcher", (pl.Callback,), {hook: lambda *_: calls.append(1)})()
    training(undercomplete(), prepare=lambda trainer: trainer.callbacks.append(watcher))
    assert taken == []
    assert len(calls) == 3 * BATCHES


def test_a_module_that_overrides_a_step_hook_is_called(training, undercomplete, taken, capsys):
    calls: list[int] = []
    training(variant_with(undercomplete(), on_after_backward=lambda _: calls.append(1)))
    assert taken == []
    assert len(calls) == 3 * BATCHES
    assert capsys.readouterr().err == ""


def test_an_overridden_step_is_left_to_lightnings_loop(training, undercomplete, taken):
    step = lambda self, x: {"loss": self.training_loss(x), "more": 1}  # noqa: E731
    training(variant_with(undercomplete(), training_step=step))
    assert taken == []


def test_values_logged_in_a_loss_are_those_of_lightnings_loop(training, same, undercomplete, taken):
    def loss(self: Any, x: torch.Tensor) -> torch.Tensor:
        value = type(self).__mro__[1].training_loss(self, x)  # type: ignore[attr-defined]
        self.log("on_epoch", value, on_step=False, on_epoch=True)
        self.log("on_step", value.detach() + len(x))
        return value

    class Reader(pl.Callback):
        def __init__(self) -> None:
            self.metrics: list[Any] = []

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            self.metrics.append(dict(trainer.callback_metrics))

    readers, outcomes = (Reader(), Reader()), []
    for reader, prepare in zip(readers, (unchanged, by_lightning), strict=True):

        def add_reader(trainer: Any, reader: Reader = reader, prepare: Any = prepare) -> None:
            prepare(trainer)
            trainer.callbacks.append(reader)

        module = variant_with(undercomplete(), training_loss=loss)
        outcomes.append(training(module, prepare.__name__, prepare=add_reader))
    assert len(taken) == 3 * (BATCHES - 1)
    same(outcomes[0].weights, outcomes[1].weights)
    same(readers[0].metrics, readers[1].metrics)
    logged = {"on_epoch", "on_step", "train_loss", "validation_error"}
    assert readers[0].metrics[0].keys() == logged


class HostReads(TorchDispatchMode):
    """Count how often a tensor's value is asked for, for which a GPU would be waited for."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@ALL_VARIANTS
def test_no_step_of_an_epoch_waits_for_the_device(training, module, taken, monkeypatch):
    reads = HostReads()
    with reads:
        float(torch.ones(3).sum())
    assert reads.count == 1
    run_steps = FastEpochLoop.on_run_start

    def watched(self: FastEpochLoop, data_fetcher: Any) -> None:
        with reads:
            run_steps(self, data_fetcher)

    monkeypatch.setattr(FastEpochLoop, "on_run_start", watched)
    training(module(), epochs=2)
    assert taken
    assert reads.count == 1
