"""Accelerated steps equal plain ones; a trial of a step leaves no trace."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from hourglass.models.base import LitAutoencoder
from hourglass.training import acceleration
from hourglass.training.acceleration import (
    FixedShapeStep,
    GraphedStep,
    PlainStep,
    disagreement,
    make_capturable,
    restored_on_exit,
    time_steps,
)
from tests.training.conftest import BATCH_SIZE, EVERY, SHAPE, Images

CPU = torch.device("cpu")


@pytest.fixture
def denoising(build):
    """Give a function that builds a variant that draws at random in each step."""
    return lambda: build("denoising", SHAPE)


@pytest.fixture
def batch() -> Tensor:
    return Images().x[:BATCH_SIZE]


def update_of(module: LitAutoencoder) -> PlainStep:
    module.trainer = SimpleNamespace(max_epochs=1)  # type: ignore[assignment]
    optimizer = torch.optim.Adam(module.parameters(), 0.01, fused=True)
    return PlainStep(module.training_loss, optimizer)


def state(module: LitAutoencoder, update: PlainStep) -> Any:
    return copy.deepcopy(
        [
            module.state_dict(),
            update.optimizer.state_dict(),
            torch.get_rng_state(),
        ]
    )


@pytest.mark.parametrize("steps", [0, 2], ids=["before the first step", "in the middle"])
def test_a_trial_leaves_no_trace(denoising, batch, same, steps):
    module, other = denoising(), denoising()
    update, plain = update_of(module), update_of(other)
    torch.manual_seed(0)
    for _ in range(steps):
        update(batch)
    with restored_on_exit(module, update.optimizer, CPU):
        for _ in range(4):
            update(batch)
    losses = [update(batch) for _ in range(3)]
    torch.manual_seed(0)
    expected = [plain(batch) for _ in range(steps + 3)][steps:]
    same(losses, expected)
    same(state(module, update), state(other, plain))


def test_a_failed_trial_leaves_no_trace(denoising, batch, same):
    module = denoising()
    update = update_of(module)
    update(batch)
    before = state(module, update)

    def fail() -> None:
        with restored_on_exit(module, update.optimizer, CPU):
            update(batch)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    same(state(module, update), before)


def test_weights_and_states_stay_the_same_tensors(denoising, batch):
    module = denoising()
    update = update_of(module)
    update(batch)
    before = [each.data_ptr() for each in module.parameters()]
    before += [each["exp_avg"].data_ptr() for each in update.optimizer.state.values()]
    with restored_on_exit(module, update.optimizer, CPU):
        update(batch)
    after = [each.data_ptr() for each in module.parameters()]
    after += [each["exp_avg"].data_ptr() for each in update.optimizer.state.values()]
    assert after == before


def test_disagreement_is_detected(denoising, batch):
    module = denoising()
    update = update_of(module)
    other = PlainStep(lambda x: 1.01 * module.training_loss(x), update.optimizer)
    assert disagreement(update, update, module, update.optimizer, batch) == ""
    assert "losses" in disagreement(other, update, module, update.optimizer, batch)


def test_timing_leaves_no_trace(denoising, batch, same):
    module = denoising()
    update = update_of(module)
    before = module.state_dict()
    before = copy.deepcopy(before)
    assert time_steps(update, module, update.optimizer, batch) > 0
    same(module.state_dict(), before)


def test_schedules_write_into_a_capturable_learning_rate():
    rates = []
    for capturable in (False, True):
        weight = torch.nn.Parameter(torch.ones(3))
        optimizer = torch.optim.Adam([weight], 0.01, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
        if capturable:
            make_capturable(optimizer, CPU)
            rate = optimizer.param_groups[0]["lr"]
        found = []
        for _ in range(5):
            weight.sum().backward()
            optimizer.step()
            schedule.step()
            found.append(float(optimizer.param_groups[0]["lr"]))
        rates.append(found)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rates[1] == pytest.approx(rates[0], abs=1e-8)


def test_batches_of_another_shape_take_plain_steps(batch):
    sizes = []
    plain = lambda x: sizes.append(len(x))  # noqa: E731
    step = FixedShapeStep(lambda x: 2.0, plain, batch)
    assert [step(batch), step(batch)] == [2.0, 2.0]
    step(batch[:5])
    assert sizes == [5]


def trained(training, make, name: str, value: str):
    return training(make(), name, acceleration=value)


def test_auto_is_plain_on_the_cpu(training, same, denoising, capsys):
    same(
        trained(training, denoising, "auto", "auto").weights,
        trained(training, denoising, "none", "none").weights,
    )
    assert capsys.readouterr().err == ""


def test_a_graph_is_refused_on_the_cpu_with_the_reason(training, same, denoising, capsys):
    found = trained(training, denoising, "graph", "cuda_graph")
    assert "cuda_graph is not used, as the device is cpu." in capsys.readouterr().err
    same(found.weights, trained(training, denoising, "none", "none").weights)


def fails(loss: Any) -> Any:
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
    found = trained(training, denoising, "compiled", "compile")
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "acceleration: compile is not used" in sentence
    assert reason in sentence
    same(found.weights, trained(training, denoising, "none", "none").weights)


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_are_not_accelerated(training, denoising, capsys, precision):
    training(denoising(), acceleration="compile", precision=precision)
    assert "the trainer's precision is set" in capsys.readouterr().err


@pytest.mark.parametrize("faster", [True, False])
def test_auto_takes_the_faster_of_both(denoising, batch, monkeypatch, faster):
    """On a CUDA device; here a plain update stands for the graph."""
    module = denoising()
    update = update_of(module)

    class Graph(PlainStep):
        def __init__(self, plain: PlainStep, *_: Any) -> None:
            super().__init__(plain.loss, plain.optimizer)

    times = {PlainStep: 2.0, Graph: 1.0 if faster else 3.0}
    monkeypatch.setattr(acceleration, "GraphedStep", Graph)
    monkeypatch.setattr(acceleration, "time_steps", lambda each, *_: times[type(each)])
    monkeypatch.setattr(acceleration, "make_capturable", lambda *_: None)
    found, reason = acceleration._try_acceleration("auto", module, update.optimizer, batch)
    assert isinstance(found, Graph) == faster
    assert reason == ""


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["undercomplete", "denoising", "convolutional", "variational"])
def test_compiled_steps_give_what_plain_ones_give(training, build, capsys, variant):
    outcomes = []
    for value in ("compile", "none"):
        outcomes.append(trained(training, lambda: build(variant, SHAPE), value, value))
    if "is not used" in (said := capsys.readouterr().err):
        pytest.skip(said)
    for one, other in zip(*(each.weights for each in outcomes), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    for one, other in zip(*(each.rows for each in outcomes), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.gpu
@EVERY
def test_a_captured_update_gives_what_plain_ones_give(build, variant):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    device = torch.device("cuda")
    x = Images().x.to(device)
    found = []
    for captured in (False, True):
        module = build(variant, SHAPE).to(device)
        update = update_of(module)
        make_capturable(update.optimizer, device)
        step = GraphedStep(update, module, update.optimizer, x[:16]) if captured else update
        torch.manual_seed(0)
        losses = [float(step(x[16 * k : 16 * k + 16])) for k in (0, 1, 2, 3, 0, 1)]
        found.append((losses, [each.detach().cpu() for each in module.parameters()]))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-4)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("value", ["auto", "cuda_graph"])
def test_a_training_by_a_graph_ends_as_one_by_plain_steps(training, denoising, capsys, value):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    rows = []
    for each in (value, "none"):
        rows.append(training(denoising(), each, acceleration=each, accelerator="gpu").rows)
    assert capsys.readouterr().err == ""
    for one, other in zip(*rows, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
