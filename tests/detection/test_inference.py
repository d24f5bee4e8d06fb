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
    """Set torch to two threads on any machine; check that this and no other thread remains."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("scoring")]
    torch.set_num_threads(before)


@pytest.mark.parametrize("samples", [0, 1, 599, 600, 601, 1200, 1201, 2399, 2401, 10**5])
def test_batches_have_a_maximum_size_and_are_even_among_workers(samples):
    sizes = np.diff([*inference._batch_starts(samples, 600, 2), samples])
    assert sizes.sum() == samples
    assert all(sizes <= 600)
    assert len(sizes) <= 1 or len(sizes) % 2 == 0


def test_batches_that_many_cores_share_are_larger():
    x = np.zeros((1, 64), np.float32)
    size = inference.batch_size(x)
    assert inference.batch_size(x, cores=2) == size == inference.MAX_BATCH_ELEMENTS // 64
    assert inference.batch_size(x, cores=16) == 8 * size


@pytest.mark.parametrize("module", [nn.Identity(), nn.Conv1d(1, 1, 1)], ids=["dense", "conv"])
def test_results_arrive_in_the_order_of_the_samples(module):
    x = np.arange(400_000, dtype=np.float32).reshape(-1, 4)

    def slow_at_first(batch: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05 if batch[0, 0] == 0 else 0)
        return batch * 2

    np.testing.assert_array_equal(inference.batched(module, slow_at_first, x), x * 2)


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

    results = inference.map_in_order(work, range(40), 2)
    if ending == "error":
        with pytest.raises(ValueError, match="batch 3"):
            list(results)
    else:
        next(results)
        results.close()
    assert not active
    assert len(done) < 40


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_half_way_can_score():
    results = inference.map_in_order(lambda start: start, range(20), 2)
    next(results)
    if not (child := os.fork()):
        results.close()
        starts = list(inference.map_in_order(lambda start: start, range(20), 2))
        os._exit(starts != list(range(20)))
    results.close()
    end = time.monotonic() + 20
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, 9)
        time.sleep(0.01)
    assert ended[1] == 0


def test_started_threads_end_if_the_system_starts_no_more(monkeypatch):
    started, real = [], threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="new thread"):
        list(inference.map_in_order(lambda start: time.sleep(0.1), range(40), 2))


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("model", ["dense", "convolutional"])
def test_dense_batches_use_all_cores_and_others_run_on_single_threaded_workers(model, overlap):
    shape = (1, 16, 16)
    network = Dense(shape, 2) if model == "dense" else Convolutional(shape, 2, (4, 4))
    x = np.random.default_rng(0).random((20_000, *shape), np.float32)
    threads = set()

    def extract(forward: ForwardCache) -> torch.Tensor:
        name = threading.current_thread().name.partition("_")[0]
        threads.add((name, torch.get_num_threads()))
        return forward.error

    batches = inference.map_batches(network.eval(), x, Scaling.none(), extract, overlap=overlap)
    errors = np.concatenate([batch for (batch,) in batches])
    with torch.inference_mode():
        np.testing.assert_allclose(errors, network.error(torch.from_numpy(x)), rtol=1e-4)
    shared = model == "dense" and not overlap
    assert threads == ({(threading.current_thread().name, 2)} if shared else {("scoring", 1)})
