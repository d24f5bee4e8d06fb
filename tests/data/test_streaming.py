"""Streamed rows: equal to resident ones, from a thread that ends, in bounded memory."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hourglass.data.batches import Shares
from hourglass.data.residency import Rows
from hourglass.data.streaming import PREFETCHED_ITEMS, copy_to_memory, prefetch

CPU = torch.device("cpu")


@pytest.fixture
def file(tmp_path) -> np.ndarray:
    """Return a mapped file of 1,000 rows."""
    x = np.random.default_rng(0).integers(0, 256, (1000, 3, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    mapped: np.ndarray = np.load(tmp_path / "x.npy", mmap_mode="r")
    return mapped


def batches(x: np.ndarray, residency, order=None, positions=None, device=CPU):
    """Return the unscaled batches of rows."""
    rows = Rows(x, residency, device, lambda batch: batch)
    return rows.batches(order, positions or Shares(len(x), 64))


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("prefetch")]


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 3)])
def test_a_mapped_file_gives_the_batches_of_a_resident_tensor(file, rank, world_size, shuffled):
    shares = Shares(len(file), 64, rank, world_size)
    order = shares.order(3) if shuffled else None
    part = file[rank::world_size]
    resident, streamed = (
        list(batches(part, residency, order, shares)) for residency in ("device", "stream")
    )
    assert [batch.dtype for batch in streamed] == [torch.uint8] * len(shares)
    assert all(map(torch.equal, streamed, resident))
    assert len(streamed) == len(resident)


@pytest.mark.parametrize("step", [1, 2])
def test_a_copy_of_a_mapped_file_is_equal_and_in_memory(file, step):
    copy = copy_to_memory(file[::step])
    np.testing.assert_array_equal(copy, file[::step])
    assert copy.base is None
    assert not np.shares_memory(copy, file)
    assert copy.flags.c_contiguous
    assert copy.flags.writeable


def test_prefetched_results_are_in_order():
    assert list(prefetch(lambda item: item * 2, range(50))) == list(range(0, 100, 2))
    assert threads() == []


@pytest.mark.parametrize("items", [[], [1]])
def test_fewer_items_than_are_prefetched_are_all_yielded(items):
    assert list(prefetch(str, items)) == list(map(str, items))


def test_results_are_computed_early_up_to_the_limit():
    computed = []
    results = prefetch(computed.append, range(100))
    for taken in range(1, 10):
        next(results)
        time.sleep(0.002)  # for results that would be computed too early
        assert len(computed) <= taken + PREFETCHED_ITEMS
    results.close()


def test_results_are_computed_while_the_one_before_is_in_use():
    computed = threading.Event()
    results = prefetch(lambda item: computed.set() if item == 1 else None, range(10))
    next(results)
    assert computed.wait(timeout=10)
    results.close()


def test_an_error_in_the_thread_is_raised_in_the_caller():
    def make(item: int) -> int:
        if item == 3:
            raise OSError("the disk is gone")
        return item

    results = prefetch(make, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)
    assert threads() == []


def test_the_thread_ends_if_its_caller_stops_early(file):
    for _ in batches(file, "stream"):
        assert len(threads()) == 1
        break
    assert threads() == []


def test_the_thread_ends_if_its_caller_fails(file):
    def use(stream: Iterator[torch.Tensor]) -> None:
        for _ in stream:
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged") as caught:
        use(batches(file, "stream"))
    del caught  # its traceback held the iterator
    assert threads() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("residency", ["host", "stream"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_on_a_gpu_pinned_batches_equal_those_of_resident_rows(file, shuffled, residency):
    device, shares = torch.device("cuda"), Shares(len(file), 64)
    order = shares.order(3) if shuffled else None
    rows = Rows(file, residency, device, lambda batch: batch)
    assert isinstance(rows.x, np.ndarray)
    assert rows._gather(rows.x, None, slice(0, 2)).is_pinned()
    resident = batches(file, "device", order, shares, device)
    for one, other in zip(resident, rows.batches(order, shares), strict=True):
        assert one.device.type == other.device.type == "cuda"
        assert torch.equal(one, other)
