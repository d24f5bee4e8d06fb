"""The order through a shuffle buffer: random, reproducible, disjoint between ranks, in memory."""

import numpy as np
import pytest
import torch
from scipy import stats

from hourglass.data import shuffle_buffer
from hourglass.data.batches import Batches, Shares
from hourglass.data.shuffle_buffer import BUFFER_ROWS, BufferedOrder, BufferedRows, rank_rows

CPU = torch.device("cpu")


def order(buffered: BufferedOrder, count: int, seed: int = 0) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    return torch.cat(list(buffered.buffers(count, generator))).numpy()


@pytest.fixture
def small(monkeypatch) -> None:
    """Limit a buffer to 100 rows of 40 bytes, in blocks of 10."""
    monkeypatch.setattr(shuffle_buffer, "BUFFER_BYTES", 4000)
    monkeypatch.setattr(shuffle_buffer, "BLOCK_BYTES", 400)


def rows(x: np.ndarray, residency) -> BufferedRows:
    return BufferedRows(x, residency, CPU, lambda batch: batch)


def test_a_buffer_of_a_million_vectors_is_in_random_order():
    """Positions are independent of rows: rank correlations, and a chi-square test of cells."""
    buffered = BufferedOrder.of(64)
    assert buffered.block * buffered.blocks == BUFFER_ROWS == 1 << 20
    found = order(buffered, BUFFER_ROWS)
    np.testing.assert_array_equal(np.sort(found), np.arange(BUFFER_ROWS))
    limit = 4 / np.sqrt(BUFFER_ROWS)  # four standard deviations
    assert abs(stats.spearmanr(found, np.arange(BUFFER_ROWS)).statistic) < limit
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < limit  # of neighbours in the order
    cells, _, _ = np.histogram2d(np.arange(BUFFER_ROWS), found, 64)
    assert stats.chisquare(cells.ravel()).pvalue > 1e-3
    # The first rows of the order are a uniform sample of the buffer.
    assert stats.kstest(found[:4096] / BUFFER_ROWS, "uniform").pvalue > 1e-3


def test_all_buffers_together_hold_every_row_once_and_mix_all_parts_of_the_files():
    buffered = BufferedOrder(block=10, blocks=40)
    found = order(buffered, 100_003)
    np.testing.assert_array_equal(np.sort(found), np.arange(100_003))
    assert abs(stats.spearmanr(found, np.arange(100_003)).statistic) < 0.03
    tenths = np.bincount(found[:400] // 10_001, minlength=10)  # of the first buffer
    assert (tenths > 0).all()


def test_up_to_one_buffer_every_permutation_is_equally_likely():
    seen = np.zeros((4, 4))
    for seed in range(4000):
        seen[np.arange(4), order(BufferedOrder(1, 4), 4, seed)] += 1
    assert stats.chisquare(seen.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("count", [1, 7, 100, 1003])
@pytest.mark.parametrize("batch_size", [1, 64, 250])
def test_streamed_batches_equal_those_in_memory(count, batch_size, small, tmp_path):
    x = np.random.default_rng(0).normal(size=(count, 10)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    shares = Shares(count, batch_size)
    streamed, resident = (
        list(Batches(rows(mapped, residency), shares, lambda: 3))
        for residency in ("stream", "device")
    )
    assert all(map(torch.equal, streamed, resident))
    assert [len(batch) for batch in streamed] == [p.stop - p.start for p in shares]
    values = torch.cat(streamed).numpy()
    np.testing.assert_array_equal(np.sort(values, 0), np.sort(x, 0))


def test_the_order_depends_on_the_seed_alone(small):
    x = np.arange(1000, dtype=np.float32)[:, None].repeat(10, 1)
    first, again, other = (
        torch.cat(list(Batches(rows(x, "stream"), Shares(1000, 64), lambda seed=seed: seed)))
        for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 5, 60, 997])
def test_ranks_have_disjoint_rows_as_many_as_their_shares(count, world_size):
    parts = [rank_rows(count, 10, rank, world_size) for rank in range(world_size)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(count))
    for rank, part in enumerate(parts):
        assert len(part) == len(Shares(count, 16, rank, world_size).order(0))


def test_a_buffer_is_limited_in_bytes_and_rows():
    wide, narrow = BufferedOrder.of(768 * 4), BufferedOrder.of(8)
    assert wide.block * wide.blocks * 768 * 4 <= shuffle_buffer.BUFFER_BYTES
    assert narrow.block * narrow.blocks <= BUFFER_ROWS
