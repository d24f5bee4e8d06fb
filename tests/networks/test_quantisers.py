"""Quantisers and the moving averages of codebooks against NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed
from torch.multiprocessing import spawn

from hourglass.networks.quantisers import (
    CodebookAverages,
    CodeNorm,
    FiniteScalar,
    VectorQuantiser,
)

RNG = np.random.default_rng(0)
DECAY = 0.9


def codes(count: int, units: int) -> torch.Tensor:
    return torch.from_numpy(RNG.normal(size=(count, units)).astype(np.float32))


@pytest.mark.parametrize("levels", [2, 3, 5, 8])
def test_finite_scalars_are_the_nearest_of_evenly_spaced_values(levels):
    z = 2 * codes(500, 4)
    centres = (2 * np.arange(levels) + 1) / levels - 1
    quantiser = FiniteScalar(4, levels)
    distances = np.abs(np.tanh(z.numpy())[..., None] - centres)
    indices = quantiser.indices(quantiser.bound(z))
    np.testing.assert_array_equal(indices, distances.argmin(2))
    np.testing.assert_allclose(quantiser(z), centres[distances.argmin(2)], rtol=1e-6, atol=1e-6)
    assert set(np.unique(indices)) == set(range(levels))
    extreme = torch.tensor([[-100.0, 100.0, 0.0, torch.inf]])
    assert quantiser.indices(quantiser.bound(extreme)).tolist()[0][1::2] == [levels - 1] * 2


def test_vectors_are_the_nearest_of_the_codebook_of_their_position():
    quantiser, z = VectorQuantiser(6, 5, 3), codes(200, 6)
    books, parts = quantiser.codebooks.numpy(), z.numpy().reshape(200, 2, 3)
    distances = np.square(parts[:, :, None] - books[None]).sum(3)
    nearest = distances.argmin(2)
    np.testing.assert_array_equal(quantiser.indices(z), nearest)
    expected = np.stack([books[p][nearest[:, p]] for p in range(2)], 1).reshape(200, 6)
    np.testing.assert_allclose(quantiser(z), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(quantiser.values(torch.from_numpy(nearest)), expected)


def test_the_gradient_passes_straight_through():
    z, weights = codes(20, 6).requires_grad_(), codes(20, 6)
    (VectorQuantiser(6, 5, 3)(z) * weights).sum().backward()
    assert torch.equal(z.grad, weights)
    z.grad = None
    (FiniteScalar(6, 4)(z) * weights).sum().backward()
    torch.testing.assert_close(z.grad, weights * (1 - z.detach().tanh().square()))


def test_codebooks_are_moving_averages_of_their_codes():
    """Van den Oord et al. 2017, equations 6 to 8."""
    quantiser = VectorQuantiser(2, 3, 2)
    quantiser.codebooks.copy_(torch.tensor([[[0.0, 0.0], [3.0, 3.0], [-3.0, 3.0]]]))
    averages = CodebookAverages(quantiser, DECAY)
    counts, sums = np.ones(3), quantiser.codebooks[0].double().numpy()
    for _ in range(5):
        z = codes(60, 2) * 3
        nearest = quantiser.indices(z)[:, 0].numpy()
        own = [z.numpy()[nearest == k] for k in range(3)]
        assert all(map(len, own))
        counts = DECAY * counts + (1 - DECAY) * np.array([len(each) for each in own])
        sums = DECAY * sums + (1 - DECAY) * np.array([each.sum(0) for each in own])
        averages.update(quantiser, z)
        np.testing.assert_allclose(quantiser.codebooks[0], sums / counts[:, None], rtol=1e-4)


def test_a_dead_vector_starts_again_at_a_code_and_is_used():
    torch.manual_seed(0)
    quantiser = VectorQuantiser(2, 4, 2)
    quantiser.codebooks[0, 0] = 1e6  # which no code is near to
    averages, z = CodebookAverages(quantiser, DECAY), codes(50, 2)
    steps = 0
    while 0 not in quantiser.indices(z):
        assert steps < 60
        averages.update(quantiser, z)
        steps += 1
    assert steps > 1
    assert quantiser.codebooks.abs().max() < 10


@pytest.mark.parametrize("unit", [0, 1])
def test_one_code_is_normalised_by_running_statistics_in_training(unit):
    norm = CodeNorm(2)
    z = codes(100, 2) * torch.tensor([2.0, 0.1]) + torch.tensor([1.0, -3.0])
    for _ in range(200):
        batch = norm(z)
    torch.testing.assert_close(batch.std(0, correction=0), torch.ones(2), rtol=1e-2, atol=0)
    single = norm(z[:1])
    torch.testing.assert_close(single, norm.eval()(z[:1]))
    expected = (z[0, unit] - z[:, unit].mean()) / z[:, unit].std()
    torch.testing.assert_close(single[0, unit], expected, rtol=1e-3, atol=1e-3)


def update_share(rank: int, folder: Path) -> None:
    """Update codebooks with every second code in one of two processes; save the state."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    torch.manual_seed(rank)  # the draws of restarts differ
    quantiser, averages, norm, z = torch.load(folder / "start.pt", weights_only=False)
    for batch in z:
        averages.update(quantiser, batch[rank::2])
        norm(batch[rank::2])
    state = [quantiser.codebooks, averages.counts, averages.sums, norm.running_mean]
    torch.save(state, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("has_dead_vector", [False, True])
def test_two_processes_hold_the_codebooks_of_one_that_sees_all_codes(tmp_path, has_dead_vector):
    quantiser, z = VectorQuantiser(4, 3, 2), [codes(60, 4) for _ in range(5)]
    if has_dead_vector:
        quantiser.codebooks[0, 0] = 1e6
    averages, norm = CodebookAverages(quantiser, 0.5), CodeNorm(4)
    torch.save((quantiser, averages, norm, z), tmp_path / "start.pt")
    spawn(update_share, (tmp_path,), nprocs=2)
    states = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for first, second in zip(*states, strict=True):
        assert torch.equal(first, second)
    if not has_dead_vector:  # whose restart is drawn from another set of codes
        for batch in z:
            averages.update(quantiser, batch)
        torch.testing.assert_close(states[0][0], quantiser.codebooks)


def test_code_size_must_divide_the_code(refusal):
    assert "code_size is 4" in refusal(VectorQuantiser, 6, 8, 4)
    assert "levels is 1" in refusal(FiniteScalar, 6, 1)
    assert "codebook is 1" in refusal(VectorQuantiser, 6, 1, 2)
