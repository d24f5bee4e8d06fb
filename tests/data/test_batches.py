"""Batches: whose rows, in which order, in which units, wherever they are kept."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from hourglass.data.batches import Batches, Scaled, Shares
from hourglass.data.scaling import Scaling
from hourglass.data.streaming import Resident, Rows, Streamed

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
FEATURES = (RNG.normal(size=(103, 5)) * [1e-3, 1, 10, 1e3, 1e6] + 3).astype(np.float32)
IMAGES = RNG.integers(0, 17, (103, 3, 4, 2), dtype=np.uint8)
SCALINGS = {
    "standard": (FEATURES, Scaling.fit("standard", FEATURES)),
    "minmax": (FEATURES, Scaling.fit("minmax", FEATURES)),
    "none": (FEATURES, Scaling.none()),
    "images": (IMAGES, Scaling.of_images(16)),
}
SIZES = pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (1, 9), (10, 5), (103, 10), (8, 9)])
ORDERS = pytest.mark.parametrize("seed", [None, 7], ids=["in order", "shuffled"])
PROCESSES = pytest.mark.parametrize("world_size", [1, 2, 3, 7])
KINDS: dict[str, Callable[[np.ndarray], Rows]] = {
    "resident": lambda x: Resident(torch.from_numpy(x)),
    "streamed": lambda x: Streamed(x, CPU),
}
KEPT = pytest.mark.parametrize("kept", KINDS)


def batches_of(x, scaling, batch_size, seed=None, rank=0, world_size=1, kept="resident") -> Batches:
    rows = KINDS[kept](np.ascontiguousarray(x[rank::world_size]))
    shares = Shares(len(x), batch_size, rank, world_size)
    return Batches(rows, Scaled(scaling, CPU), shares, None if seed is None else lambda: seed)


def numbered(n: int, batch_size: int, seed=None, rank=0, world_size=1, kept="resident") -> Batches:
    """Return batches of samples that hold their own numbers, unscaled."""
    x = np.arange(n, dtype=np.float32)[:, None]
    return batches_of(x, Scaling.none(), batch_size, seed, rank, world_size, kept)


def order(batches: Batches) -> list[int]:
    return torch.cat(list(batches)).flatten().int().tolist()


def ranks(n: int, batch_size: int, seed: int | None, world_size: int) -> list[list[torch.Tensor]]:
    """Return the batches of every rank."""
    return [list(numbered(n, batch_size, seed, rank, world_size)) for rank in range(world_size)]


@SIZES
@ORDERS
@PROCESSES
def test_an_epoch_holds_every_sample_exactly_once(n, batch_size, seed, world_size):
    shares = [batch for rank in ranks(n, batch_size, seed, world_size) for batch in rank]
    assert sorted(torch.cat(shares).flatten().int().tolist()) == list(range(n))


@SIZES
@ORDERS
@PROCESSES
def test_all_ranks_take_the_same_number_of_steps(n, batch_size, seed, world_size):
    steps = math.ceil(n / batch_size)
    assert [len(rank) for rank in ranks(n, batch_size, seed, world_size)] == [steps] * world_size
    assert len(numbered(n, batch_size, seed, 0, world_size)) == steps


@SIZES
@ORDERS
@PROCESSES
def test_all_batches_but_the_last_are_full_over_all_ranks(n, batch_size, seed, world_size):
    shares = zip(*ranks(n, batch_size, seed, world_size), strict=True)
    sizes = [sum(map(len, batch)) for batch in shares]
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)


@SIZES
@ORDERS
@PROCESSES
def test_the_shares_of_a_batch_differ_by_one_sample_at_most(n, batch_size, seed, world_size):
    for batch in zip(*ranks(n, batch_size, seed, world_size), strict=True):
        sizes = list(map(len, batch))
        assert max(sizes) - min(sizes) <= 1


@SIZES
@PROCESSES
def test_weights_turn_the_mean_over_ranks_into_the_mean_over_samples(n, batch_size, world_size):
    shares = [Shares(n, batch_size, rank, world_size) for rank in range(world_size)]
    for k, batch in enumerate(zip(*ranks(n, batch_size, 3, world_size), strict=True)):
        means = [part.mean().item() if len(part) else 0.0 for part in batch]
        weights = [each.weight(k) for each in shares]
        found = np.mean(np.multiply(means, weights))
        assert found == pytest.approx(torch.cat(batch).mean().item())


@SIZES
@PROCESSES
def test_each_rank_holds_every_world_sizeth_row_and_serves_no_other(n, batch_size, world_size):
    for rank in range(world_size):
        shares = ranks(n, batch_size, 7, world_size)[rank]
        numbers = torch.cat(shares).flatten().int().tolist()
        assert sorted(numbers) == list(range(rank, n, world_size))


@SIZES
@PROCESSES
def test_in_order_the_ranks_interleaved_are_the_rows_in_order(n, batch_size, world_size):
    found = []
    for batch in zip(*ranks(n, batch_size, None, world_size), strict=True):
        place = np.empty(sum(map(len, batch)))
        first = len(found)  # of the batch, whose positions are dealt out to the ranks in turn
        for rank, share in enumerate(batch):
            place[(rank - first) % world_size :: world_size] = share.flatten().numpy()
        found += place.tolist()
    assert found == list(range(n))


@SIZES
def test_one_process_shuffles_as_torch_does(n, batch_size):
    expected = torch.randperm(n, generator=torch.Generator().manual_seed(7)).tolist()
    assert order(numbered(n, batch_size, seed=7)) == expected


@KEPT
def test_without_shuffling_samples_keep_their_order(kept):
    assert order(numbered(103, 10, kept=kept)) == list(range(103))


def test_the_same_seed_gives_the_same_order():
    assert order(numbered(103, 10, seed=1)) == order(numbered(103, 10, seed=1))


def test_another_seed_gives_another_order():
    assert order(numbered(103, 10, seed=1)) != order(numbered(103, 10, seed=2))


def test_each_rank_has_an_order_of_its_own():
    """Else rows that are neighbours in the file would always be in a batch together."""
    orders = {tuple(Shares(800, 10, rank, 8).order(5).tolist()) for rank in range(8)}
    assert len(orders) == 8


def test_the_order_does_not_depend_on_the_global_generator():
    orders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        orders.append(order(numbered(103, 10, seed=1)))
    assert orders[0] == orders[1]


def test_shuffling_leaves_the_global_generator_alone():
    torch.manual_seed(99)
    before = torch.get_rng_state()
    order(numbered(103, 10, seed=1))
    assert torch.equal(torch.get_rng_state(), before)


@KEPT
@ORDERS
@pytest.mark.parametrize("kind", SCALINGS)
def test_batches_are_scaled_as_numpy_scales_to_the_bit(kind, seed, kept):
    x, scaling = SCALINGS[kind]
    chosen = x if seed is None else x[order(numbered(len(x), 10, seed))]
    found = torch.cat(list(batches_of(x, scaling, 10, seed, kept=kept)))
    assert found.numpy().tobytes() == scaling(chosen).tobytes()


@KEPT
@pytest.mark.parametrize("kind", SCALINGS)
def test_batches_leave_the_samples_as_they_were(kind, kept):
    x, scaling = SCALINGS[kind]
    own = x.copy()
    for batch in batches_of(own, scaling, 10, kept=kept):
        batch.zero_()
    np.testing.assert_array_equal(own, x)


def test_a_share_without_samples_leaves_the_loss_finite(build):
    module = build("undercomplete", (5,), latent_dim=2)
    for rank in range(2):  # 3 samples in batches of 2: one rank has no part in the second
        x, scaling = FEATURES[:3], SCALINGS["standard"][1]
        batches = batches_of(x, scaling, 2, 0, rank, 2)
        assert all(module.training_step(batch).isfinite() for batch in batches)
