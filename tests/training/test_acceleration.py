"""Accelerated steps equal plain ones; a trial of a step leaves no trace."""

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from hourglass.models.base import LitAutoencoder
from hourglass.training import acceleration
from hourglass.training.acceleration import (
    Step,
    disagreement,
    gradient_step,
    graphed_step,
    make_capturable,
    restored_on_exit,
    time_step,
    try_acceleration,
)
from tests.training.conftest import ALL_VARIANTS, BATCH_SIZE, SAMPLES, SHAPE, Images

CPU = torch.device("cpu")


class Stepped:
    """A variant with random draws in each step, its optimizer and its step."""

    def __init__(self, module: LitAutoencoder) -> None:
        self.module = module
        self.optimizer = Adam(module.parameters(), 0.01, fused=True)
        self.step: Step = gradient_step(module.training_loss, self.optimizer)

    @property
    def state(self) -> Any:
        """Return copies of weights, optimizer state and state of the random generator."""
        states = self.module.state_dict(), self.optimizer.state_dict(), torch.get_rng_state()
        return copy.deepcopy(states)

    @property
    def addresses(self) -> list[int]:
        moments = [state["exp_avg"] for state in self.optimizer.state.values()]
        return [tensor.data_ptr() for tensor in (*self.module.parameters(), *moments)]


@pytest.fixture
def denoising(build):
    return lambda: build("denoising", SHAPE)


@pytest.fixture
def stepped(denoising) -> Stepped:
    return Stepped(denoising())


@pytest.fixture
def batch() -> Tensor:
    return Images().x[:BATCH_SIZE]


@pytest.mark.parametrize("steps", [0, 2], ids=["before the first step", "in the middle"])
def test_a_trial_leaves_no_trace(denoising, stepped, batch, same, steps):
    other = Stepped(denoising())
    torch.manual_seed(0)
    for _ in range(steps):
        stepped.step(batch)
    with restored_on_exit(stepped.module, stepped.optimizer, CPU):
        for _ in range(4):
            stepped.step(batch)
    losses = [stepped.step(batch) for _ in range(3)]
    torch.manual_seed(0)
    same(losses, [other.step(batch) for _ in range(steps + 3)][steps:])
    same(stepped.state, other.state)


def test_a_failed_trial_leaves_no_trace_and_the_same_tensors(stepped, batch, same):
    stepped.step(batch)
    before, addresses = stepped.state, stepped.addresses
    with suppress(ZeroDivisionError), restored_on_exit(stepped.module, stepped.optimizer, CPU):
        stepped.step(batch)
        raise ZeroDivisionError
    same(stepped.state, before)
    assert stepped.addresses == addresses


def test_timing_leaves_no_trace(stepped, batch, same):
    stepped.step(batch)
    before = stepped.state
    assert time_step(stepped.step, stepped.module, stepped.optimizer, batch) > 0
    same(stepped.state, before)


def test_disagreement_is_detected(stepped, batch):
    module, optimizer = stepped.module, stepped.optimizer
    other = gradient_step(lambda x: 1.01 * module.training_loss(x), optimizer)
    assert disagreement(stepped.step, stepped.step, module, optimizer, batch) == ""
    assert "losses" in disagreement(other, stepped.step, module, optimizer, batch)


def test_schedules_write_into_a_capturable_learning_rate():
    rates: list[list[float]] = []
    for capturable in (False, True):
        weight = torch.nn.Parameter(torch.ones(3))
        optimizer = Adam([weight], 0.01, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
        if capturable:
            make_capturable(optimizer, CPU)
        rate, rates = optimizer.param_groups[0]["lr"], [*rates, []]
        for _ in range(5):
            weight.sum().backward()
            optimizer.step()
            schedule.step()
            rates[-1].append(float(optimizer.param_groups[0]["lr"]))
    assert optimizer.param_groups[0]["lr"] is rate
    assert rates[1] == pytest.approx(rates[0], abs=1e-8)


def recorded(sizes: list[int]) -> Callable[[Step], Step]:
    """Return a stand-in for the compiler, which appends the sizes of the batches it gets."""

    def compiled(loss: Step) -> Step:
        def recording(x: Tensor) -> Tensor:
            sizes.append(len(x))
            return loss(x)

        return recording

    return compiled


def test_batches_of_another_shape_take_plain_steps(training, denoising, monkeypatch):
    sizes: list[int] = []
    monkeypatch.setattr(acceleration, "_compiled", recorded(sizes))
    training(denoising(), acceleration="compile", batch_size=SAMPLES // 2, epochs=2)
    # Two full batches and one sample per epoch, which Lightning's loop takes.
    assert sizes == (acceleration.COMPARED_STEPS + 2 * 2) * [SAMPLES // 2]


@pytest.mark.parametrize(
    ("value", "message"),
    [("auto", ""), ("cuda_graph", "acceleration: cuda_graph is not used, as the device is cpu.\n")],
)
def test_a_graph_is_not_used_on_the_cpu(training, same, denoising, capsys, value, message):
    graphed = training(denoising(), value, acceleration=value)
    same(graphed.weights, training(denoising(), "none", acceleration="none").weights)
    assert capsys.readouterr().err == message


def fails(loss: Step) -> Step:
    def raising(x: Tensor) -> Tensor:
        loss(x)
        raise RuntimeError("there is no compiler.")

    return raising


FAULTS = {"there is no compiler": fails, "losses": lambda loss: lambda x: 1.1 * loss(x)}


@pytest.mark.parametrize("reason", FAULTS)
def test_an_acceleration_that_fails_or_differs_is_not_used(
    training, same, denoising, capsys, monkeypatch, reason
):
    monkeypatch.setattr(acceleration, "_compiled", FAULTS[reason])
    compiled = training(denoising(), "compile", acceleration="compile")
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "acceleration: compile is not used" in sentence
    assert reason in sentence
    same(compiled.weights, training(denoising(), "none", acceleration="none").weights)


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_are_not_accelerated(training, denoising, capsys, precision):
    training(denoising(), acceleration="compile", precision=precision)
    assert "the trainer's precision is set" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [[1.0, 2.0], [3.0, 2.0]], ids=["faster", "slower"])
def test_auto_takes_the_faster_of_both(stepped, batch, monkeypatch, seconds):
    """On a CUDA device; here a plain step stands for the graph."""
    monkeypatch.setattr(acceleration, "graphed_step", lambda step, *_: step)
    monkeypatch.setattr(acceleration, "make_capturable", lambda *_: None)
    times = iter(seconds)
    monkeypatch.setattr(acceleration, "time_step", lambda *_: next(times))
    step, reason = try_acceleration("auto", stepped.module, stepped.optimizer, batch)
    assert (step is not None) == (seconds[0] < seconds[1])
    assert reason == ""


def assert_rows_agree(rows: list[dict], expected: list[dict], tolerance: float) -> None:
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, rel=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["undercomplete", "denoising", "convolutional", "variational"])
def test_compiled_steps_give_what_plain_ones_give(training, build, capsys, variant):
    compiled, plain = (
        training(build(variant, SHAPE), value, acceleration=value) for value in ("compile", "none")
    )
    if "is not used" in (message := capsys.readouterr().err):
        pytest.skip(message)
    torch.testing.assert_close(compiled.weights, plain.weights, rtol=1e-3, atol=1e-5)
    assert_rows_agree(compiled.rows, plain.rows, 1e-4)


@pytest.mark.gpu
@ALL_VARIANTS
def test_a_captured_step_gives_what_plain_ones_give(build, variant):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    device = torch.device("cuda")
    x, losses, weights = Images().x.to(device), [], []
    for captured in (False, True):
        plain = Stepped(build(variant, SHAPE).to(device))
        make_capturable(plain.optimizer, device)
        step = plain.step
        if captured:
            step = graphed_step(step, plain.module, plain.optimizer, x[:16])
        torch.manual_seed(0)
        losses.append([float(step(x[16 * k : 16 * k + 16])) for k in (0, 1, 2, 3, 0, 1)])
        weights.append([weight.detach().cpu() for weight in plain.module.parameters()])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("value", ["auto", "cuda_graph"])
def test_a_training_by_a_graph_ends_as_one_by_plain_steps(training, denoising, capsys, value):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    graphed, plain = (
        training(denoising(), name, acceleration=name, accelerator="gpu").rows
        for name in (value, "none")
    )
    assert capsys.readouterr().err == ""
    assert_rows_agree(graphed, plain, 1e-3)
