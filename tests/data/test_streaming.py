"""Streams: the batches of resident rows, a thread that ends, memory that stays small."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hourglass.data.batches import Shares
from hourglass.data.streaming import AHEAD, Resident, Streamed, copied, mapped, prefetched

CPU = torch.device("cpu")


@pytest.fixture
def file(tmp_path) -> np.ndarray:
    """Give a mapped file of 1,000 rows."""
    x = np.random.default_rng(0).integers(0, 256, (1000, 3, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    found: np.ndarray = np.load(tmp_path / "x.npy", mmap_mode="r")
    return found


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("prefetch")]


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 3)])
def test_a_mapped_file_gives_the_batches_of_a_resident_tensor(file, rank, world_size, shuffled):
    part = file[rank::world_size]
    shares = Shares(len(file), 64, rank, world_size)
    order = shares.order(3) if shuffled else None
    resident = list(Resident(torch.from_numpy(copied(part))).take(order, shares))
    streamed = list(Streamed(part, CPU).take(order, shares))
    assert [batch.dtype for batch in streamed] == [torch.uint8] * len(shares)
    assert all(map(torch.equal, streamed, resident))
    assert len(streamed) == len(resident)


@pytest.mark.parametrize("step", [1, 2])
def test_a_copy_of_a_mapped_file_is_equal_and_in_memory(file, step):
    copy = copied(file[::step])
    np.testing.assert_array_equal(copy, file[::step])
    assert mapped(file[::step]) is not None
    assert mapped(copy) is None
    assert copy.flags.c_contiguous
    assert copy.flags.writeable


def test_what_is_prefetched_comes_in_order():
    assert list(prefetched(lambda item: item * 2, range(50))) == list(range(0, 100, 2))
    assert threads() == []


@pytest.mark.parametrize("items", [[], [1]])
def test_an_epoch_shorter_than_the_queue_is_whole(items):
    assert list(prefetched(str, items)) == list(map(str, items))


def test_no_more_is_made_early_than_was_asked_for():
    made = []
    batches = prefetched(made.append, range(100))
    for taken in range(1, 10):
        next(batches)
        time.sleep(0.002)  # for whatever would be made too early
        assert len(made) <= taken + AHEAD
    batches.close()


def test_batches_are_made_while_the_one_before_is_in_use():
    made = threading.Event()

    def make(item: int) -> int:
        if item == 1:
            made.set()
        return item

    batches = prefetched(make, range(10))
    next(batches)
    assert made.wait(timeout=10)
    batches.close()


def test_an_error_in_the_thread_is_raised_where_batches_are_used():
    def make(item: int) -> int:
        if item == 3:
            raise OSError("the disk is gone")
        return item

    batches = prefetched(make, range(10))
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert threads() == []


def test_the_thread_ends_where_its_user_breaks_off(file):
    for _ in Streamed(file, CPU).take(None, Shares(len(file), 10)):
        assert len(threads()) == 1
        break
    assert threads() == []


def test_the_thread_ends_where_its_user_fails(file):
    def use(batches: Iterator[torch.Tensor]) -> None:
        for _ in batches:
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged") as caught:
        use(Streamed(file, CPU).take(None, Shares(len(file), 10)))
    del caught  # its traceback held the iterator
    assert threads() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("shuffled", [False, True])
def test_on_a_gpu_pinned_batches_are_those_of_resident_rows(file, shuffled):
    device, shares = torch.device("cuda"), Shares(len(file), 64)
    order = shares.order(3) if shuffled else None
    resident = Resident(torch.from_numpy(copied(file)).to(device)).take(order, shares)
    streamed = Streamed(file, device)
    assert streamed._gather(None, slice(0, 2)).is_pinned()
    for one, other in zip(resident, streamed.take(order, shares), strict=True):
        assert other.device.type == "cuda"
        assert torch.equal(one, other)
