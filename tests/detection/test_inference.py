"""Batched inference: batch sizes, order, worker threads and their clean-up."""

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
    """Set torch to two threads on any machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.mark.parametrize("samples", [0, 1, 599, 600, 601, 1200, 1201, 2399, 2401, 10**5])
def test_batches_have_a_maximum_size_and_are_even_among_workers(samples):
    sizes = np.diff([*inference._batch_starts(samples, 600, 2), samples])
    assert sizes.sum() == samples
    assert all(sizes <= 600)
    assert len(sizes) <= 1 or len(sizes) % 2 == 0


def test_results_arrive_in_the_order_of_the_samples():
    def slow_at_first(start: int) -> int:
        time.sleep(0.02 if start == 0 else 0)
        return start

    assert list(inference._map_in_order(slow_at_first, range(40), 2)) == list(range(40))


def test_worker_threads_are_reused_and_each_runs_one_torch_thread():
    def identify(start: int) -> tuple[int, int]:
        time.sleep(0.002)
        return threading.get_ident(), torch.get_num_threads()

    first, second = (set(inference._map_in_order(identify, range(20), 2)) for _ in range(2))
    assert first == second
    assert {count for _, count in first} == {1}
    assert threading.get_ident() not in {thread for thread, _ in first}


@pytest.mark.parametrize("ending", ["error", "close"])
def test_no_worker_is_active_after_an_error_or_an_early_stop(ending):
    active, done = [], []

    def work(start: int) -> None:
        active.append(start)
        time.sleep(0.01)
        active.remove(start)
        if ending == "error" and start == 3:
            raise ValueError("batch 3")
        done.append(start)

    results = inference._map_in_order(work, range(40), 2)
    if ending == "error":
        with pytest.raises(ValueError, match="batch 3"):
            list(results)
    else:
        next(results)
        results.close()
    assert not active
    assert len(done) < 40


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("half_way", [False, True])
def test_a_forked_child_starts_threads_of_its_own(half_way):
    results = inference._map_in_order(lambda start: start, range(20), 2)
    next(results)
    if not half_way:
        results.close()
    if not (child := os.fork()):
        results.close()
        torch.set_num_threads(2)
        starts = list(inference._map_in_order(lambda start: start, range(20), 2))
        os._exit(starts != list(range(20)))
    results.close()
    end = time.monotonic() + 20
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, 9)
        time.sleep(0.01)
    assert ended[1] == 0


def test_started_threads_end_if_the_system_starts_no_more(monkeypatch):
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
def test_dense_batches_use_all_cores_and_others_run_on_worker_threads(model, overlap):
    shape = (1, 16, 16)
    network = Dense(shape, 2) if model == "dense" else Convolutional(shape, 2, (4, 4))
    x = np.random.default_rng(0).random((20_000, *shape), np.float32)
    threads = set()

    def extract(forward: ForwardCache) -> torch.Tensor:
        threads.add(threading.current_thread().name.partition("_")[0])
        return forward.error

    batches = inference.map_batches(network.eval(), x, Scaling.none(), extract, overlap=overlap)
    errors = np.concatenate([batch for (batch,) in batches])
    with torch.inference_mode():
        np.testing.assert_allclose(errors, network.error(torch.from_numpy(x)), rtol=1e-4)
    shared = model == "dense" and not overlap
    assert threads == ({threading.current_thread().name} if shared else {"scoring"})


def test_batches_that_many_cores_share_are_larger():
    x = np.zeros((1, 64), np.float32)
    size = inference.batch_size(x)
    assert inference.batch_size(x, cores=2) == size == inference.MAX_BATCH_ELEMENTS // 64
    assert inference.batch_size(x, cores=16) == 8 * size


def test_batched_applies_a_function_to_each_sample_once():
    x = np.arange(400_000, dtype=np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(inference.batched(nn.Identity(), lambda part: part * 2, x), x * 2)
