"""How batches pass through a network: in order, by threads of their own, and none left behind."""

import os
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from hourglass.data.scaling import Scaling
from hourglass.detection import inference
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks import Convolutional, Dense


@pytest.fixture(autouse=True)
def two_threads():
    """Have torch use two threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.mark.parametrize("samples", [0, 1, 599, 600, 601, 1200, 1201, 2399, 2401, 10**5])
def test_batches_are_of_a_size_at_most_and_shared_out_evenly(samples):
    starts = inference._batch_starts(samples, 600, 2)
    sizes = np.diff([*starts, samples])
    assert sizes.sum() == samples
    assert all(sizes <= 600)
    assert len(sizes) <= 1 or len(sizes) % 2 == 0


def test_results_come_in_the_order_of_the_samples():
    def slow_at_first(start: int) -> int:
        time.sleep(0.02 if start == 0 else 0)
        return start

    assert list(inference._map_in_order(slow_at_first, range(40), 2)) == list(range(40))


def test_threads_are_the_same_from_call_to_call_and_share_nothing():
    def who(start: int) -> tuple[int, int]:
        time.sleep(0.002)
        return threading.get_ident(), torch.get_num_threads()

    first, second = (set(inference._map_in_order(who, range(20), 2)) for _ in range(2))
    assert first == second
    assert {number for _, number in first} == {1}
    assert threading.get_ident() not in {name for name, _ in first}


def test_an_error_reaches_the_caller_when_nothing_is_at_work_any_more():
    at_work = []

    def fail(start: int) -> None:
        at_work.append(start)
        time.sleep(0.01)
        at_work.remove(start)
        if start == 3:
            raise ValueError("batch 3")

    with pytest.raises(ValueError, match="batch 3"):
        list(inference._map_in_order(fail, range(20), 2))
    assert not at_work


def test_who_asks_for_no_more_leaves_nothing_at_work():
    done, at_work = [], []

    def work(start: int) -> None:
        at_work.append(start)
        time.sleep(0.01)
        at_work.remove(start)
        done.append(start)

    results = inference._map_in_order(work, range(40), 2)
    next(results)
    results.close()
    assert not at_work
    assert len(done) < 40


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("half_way", [False, True])
def test_a_fork_passes_batches_by_threads_of_its_own(half_way):
    results = inference._map_in_order(lambda start: start, range(20), 2)
    next(results)
    if not half_way:
        results.close()
    if not (child := os.fork()):
        results.close()
        torch.set_num_threads(2)
        found = list(inference._map_in_order(lambda start: start, range(20), 2))
        os._exit(found != list(range(20)))
    results.close()
    end = time.monotonic() + 20
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, 9)
        time.sleep(0.01)
    assert ended[1] == 0


def test_where_no_thread_is_to_be_had_the_first_ones_end(monkeypatch):
    started = []
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="new thread"):
        inference._single_threaded_pool(3)
    started[0].join(5)
    assert not started[0].is_alive()


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("model", ["dense", "convolutional"])
def test_cores_share_the_batches_of_a_dense_network_and_take_those_of_others(model, overlap):
    shape = (1, 16, 16)
    network = Dense(shape, 2) if model == "dense" else Convolutional(shape, 2, (4, 4))
    x = np.random.default_rng(0).random((20_000, *shape), np.float32)
    at = set()

    def look(view: ForwardCache) -> torch.Tensor:
        at.add(threading.current_thread().name.partition("_")[0])
        return view.error

    parts = inference.map_batches(network.eval(), x, Scaling.none(), look, overlap=overlap)
    found = np.concatenate([part for (part,) in parts])
    with torch.inference_mode():
        np.testing.assert_allclose(found, network.error(torch.from_numpy(x)), rtol=1e-4)
    sharing = model == "dense" and not overlap
    assert at == ({threading.current_thread().name} if sharing else {"scoring"})


def test_batches_that_many_cores_share_are_larger():
    x = np.zeros((1, 64), np.float32)
    assert (
        inference.batch_size(x, cores=2)
        == inference.batch_size(x)
        == inference.BATCH_ELEMENTS // 64
    )
    assert inference.batch_size(x, cores=16) == 8 * inference.batch_size(x)


def test_a_module_sees_each_sample_once():
    x = np.arange(400_000, dtype=np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(inference.batched(nn.Identity(), lambda part: part * 2, x), x * 2)
