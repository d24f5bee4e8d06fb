"""Batches: rows, order, shares of processes, and scaling, whatever their residency."""

import math

import numpy as np
import pytest
import torch

from hourglass.core.settings import Residency
from hourglass.data.batches import Batches, Scaled, Shares
from hourglass.data.residency import Rows
from hourglass.data.scaling import Scaling
from tests.tables import number_encoding

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(103, 5)) * [1e-3, 1, 10, 1e3, 1e6] + 3
IMAGES = RNG.integers(0, 17, (103, 3, 4, 2), dtype=np.uint8)
SCALINGS = {
    "standard": (FEATURES, number_encoding(FEATURES)),
    "minmax": (FEATURES, number_encoding(FEATURES, "minmax")),
    "none": (FEATURES, Scaling.none()),
    "images": (IMAGES, Scaling.of_images(16)),
}
SIZES = pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (1, 9), (10, 5), (103, 10), (8, 9)])
ORDERS = pytest.mark.parametrize("seed", [None, 7], ids=["in order", "shuffled"])
PROCESSES = pytest.mark.parametrize("world_size", [1, 2, 3, 7])
RESIDENCIES = pytest.mark.parametrize("residency", ["device", "stream"])


def make_batches(
    x, scaling, batch_size, seed=None, rank=0, world_size=1, residency: Residency = "device"
) -> Batches:
    rows = Rows(x[rank::world_size], residency, CPU, Scaled(scaling, CPU))
    shares = Shares(len(x), batch_size, rank, world_size)
    return Batches(rows, shares, None if seed is None else lambda: seed)


def numbered(n: int, batch_size: int, seed=None, rank=0, world_size=1) -> Batches:
    """Return batches of samples that hold their row numbers, unscaled."""
    x = np.arange(n, dtype=np.float32)[:, None]
    return make_batches(x, Scaling.none(), batch_size, seed, rank, world_size)


def order(batches: Batches) -> list[int]:
    return torch.cat(list(batches)).flatten().int().tolist()


def ranks(n: int, batch_size: int, seed: int | None, world_size: int) -> list[list[torch.Tensor]]:
    """Return the batches of every rank."""
    return [list(numbered(n, batch_size, seed, rank, world_size)) for rank in range(world_size)]


@SIZES
@ORDERS
@PROCESSES
def test_an_epoch_holds_every_sample_once_in_full_batches_of_equal_shares(
    n, batch_size, seed, world_size
):
    shares = ranks(n, batch_size, seed, world_size)
    assert [len(batches) for batches in shares] == [math.ceil(n / batch_size)] * world_size
    assert len(numbered(n, batch_size, seed, 0, world_size)) == math.ceil(n / batch_size)
    for rank, batches in enumerate(shares):
        rows = torch.cat(batches).flatten().int().tolist()
        assert sorted(rows) == list(range(rank, n, world_size))
    sizes = np.array([[len(batch) for batch in batches] for batches in shares])
    assert (sizes.sum(0)[:-1] == batch_size).all()
    assert (np.ptp(sizes, axis=0) <= 1).all()


@SIZES
@PROCESSES
def test_weights_turn_the_mean_over_ranks_into_the_mean_over_samples(n, batch_size, world_size):
    shares = [Shares(n, batch_size, rank, world_size) for rank in range(world_size)]
    for k, batch in enumerate(zip(*ranks(n, batch_size, 3, world_size), strict=True)):
        means = [part.mean().item() if len(part) else 0.0 for part in batch]
        weights = [share.weight(k) for share in shares]
        assert np.mean(np.multiply(means, weights)) == pytest.approx(torch.cat(batch).mean().item())


@SIZES
@PROCESSES
def test_unshuffled_shares_interleave_to_the_rows_in_order(n, batch_size, world_size):
    rows: list[float] = []
    for batch in zip(*ranks(n, batch_size, None, world_size), strict=True):
        interleaved = np.empty(sum(map(len, batch)))
        start = len(rows)  # of the batch, whose positions are dealt to the ranks in turn
        for rank, share in enumerate(batch):
            interleaved[(rank - start) % world_size :: world_size] = share.flatten().numpy()
        rows += interleaved.tolist()
    assert rows == list(range(n))


@SIZES
def test_one_process_shuffles_as_torch_does_without_the_global_generator(n, batch_size):
    expected = torch.randperm(n, generator=torch.Generator().manual_seed(7)).tolist()
    before = torch.get_rng_state()
    assert order(numbered(n, batch_size, seed=7)) == expected
    assert torch.equal(torch.get_rng_state(), before)


def test_seed_and_rank_decide_the_order():
    """With one order for all ranks, neighbours in the file would always share a batch."""
    orders = {(s, r): Shares(800, 10, r, 8).order(s).tolist() for s in (5, 6) for r in range(8)}
    assert len(set(map(tuple, orders.values()))) == 16
    assert Shares(800, 10, 3, 8).order(5).tolist() == orders[5, 3]


@RESIDENCIES
@ORDERS
@pytest.mark.parametrize("kind", SCALINGS)
def test_batches_are_scaled_as_numpy_scales_to_the_bit(kind, seed, residency):
    x, scaling = SCALINGS[kind]
    samples = x.copy()
    expected = scaling(x if seed is None else x[order(numbered(len(x), 10, seed))])
    batches = list(make_batches(samples, scaling, 10, seed, residency=residency))
    assert torch.cat(batches).numpy().tobytes() == expected.tobytes()
    for batch in batches:
        batch.zero_()
    np.testing.assert_array_equal(samples, x)  # changes to a batch do not reach the samples
