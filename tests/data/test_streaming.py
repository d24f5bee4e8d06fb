"""Streamed rows: equal to resident ones, from a thread that ends, in bounded memory."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hourglass.data.batches import Shares
from hourglass.data.residency import Rows
from hourglass.data.streaming import PREFETCHED_ITEMS, prefetch

CPU = torch.device("cpu")
SHUFFLED = pytest.mark.parametrize("shuffled", [False, True])


@pytest.fixture
def file(tmp_path) -> np.ndarray:
    """Return a mapped file of 1,000 rows."""
    x = np.random.default_rng(0).integers(0, 256, (1000, 3, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    mapped: np.ndarray = np.load(tmp_path / "x.npy", mmap_mode="r")
    return mapped


def unscaled_rows(x: np.ndarray, residency, device=CPU) -> Rows:
    return Rows(x, residency, device, lambda batch: batch)


def threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("prefetch")]


@SHUFFLED
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 3)])
def test_a_mapped_file_gives_the_batches_of_a_resident_tensor(file, rank, world_size, shuffled):
    shares, part = Shares(len(file), 64, rank, world_size), file[rank::world_size]
    order = shares.order(3) if shuffled else None
    resident, streamed = (
        list(unscaled_rows(part, residency).batches(order, shares))
        for residency in ("device", "stream")
    )
    assert [batch.dtype for batch in streamed] == [torch.uint8] * len(shares)
    assert len(streamed) == len(resident)
    assert all(map(torch.equal, streamed, resident))
    expected = part if order is None else part[order]
    np.testing.assert_array_equal(torch.cat(resident), expected)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_all_items_are_yielded_in_order_and_the_thread_ends(count):
    assert list(prefetch(range(count))) == list(range(count))
    assert threads() == []


def test_items_are_computed_early_up_to_the_limit():
    computed = []

    def compute() -> Iterator[int]:
        for i in range(100):
            computed.append(i)
            yield i

    for taken, _ in zip(range(1, 10), prefetch(compute()), strict=False):
        time.sleep(0.002)  # for items that would be computed too early
        assert len(computed) <= taken + PREFETCHED_ITEMS


def test_items_are_computed_while_the_one_before_is_in_use():
    computed = threading.Event()

    def compute() -> Iterator[int]:
        yield 0
        computed.set()
        yield 1

    items = prefetch(compute())
    next(items)
    assert computed.wait(timeout=10)


def test_an_error_in_the_thread_is_raised_in_the_caller():
    items = prefetch(1 / (3 - i) for i in range(10))
    assert [next(items) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(items)
    assert threads() == []


def test_the_thread_ends_if_its_caller_stops_early_or_fails(file):
    batches = unscaled_rows(file, "stream").batches
    for _ in batches(None, Shares(len(file), 64)):
        assert len(threads()) == 1
        break
    assert threads() == []

    def use(stream: Iterator[torch.Tensor]) -> None:
        for _ in stream:
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged") as caught:
        use(batches(None, Shares(len(file), 64)))
    del caught  # its traceback held the iterator
    assert threads() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("residency", ["host", "stream"])
@SHUFFLED
def test_on_a_gpu_pinned_batches_equal_those_of_resident_rows(file, shuffled, residency):
    device, shares = torch.device("cuda"), Shares(len(file), 64)
    order = shares.order(3) if shuffled else None
    rows = unscaled_rows(file, residency, device)
    assert isinstance(rows.x, np.ndarray)
    assert rows._gather(rows.x, None, slice(0, 2)).is_pinned()
    resident = unscaled_rows(file, "device", device).batches(order, shares)
    for one, other in zip(resident, rows.batches(order, shares), strict=True):
        assert one.device.type == other.device.type == "cuda"
        assert torch.equal(one, other)


@pytest.mark.slow
def test_twenty_gigabytes_train_in_a_fraction_of_that_memory(repository):
    """Peak memory is that of the order, 8 bytes per row, and a few batches."""
    command = [sys.executable, "scripts/large_array.py", "--gigabytes", "20", "--steps", "50"]
    command += ["--residency", "stream"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    assert measured["data_gigabytes"] == pytest.approx(20, rel=1e-3)
    assert measured["kept"] == "stream"
    assert measured["peak_gigabytes"] < 0.5
