"""The kernel distance of the Wasserstein variant against NumPy."""

import math

import numpy as np
import torch

from hourglass.models.penalties import mmd
from tests.training.conftest import SHAPE, Images

SCALES = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]


def kernel(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    squares = np.square(u[:, None] - v[None]).sum(2)
    constants = 2 * u.shape[1] * np.array(SCALES)
    return (constants / (constants + squares[..., None])).sum(2)


def expected_mmd(z: np.ndarray, prior: np.ndarray) -> float:
    """Return the U-statistic, pair by pair (Gretton et al. 2012, lemma 6)."""
    n = len(z)
    others = ~np.eye(n, dtype=bool)
    within = kernel(z, z)[others].mean() + kernel(prior, prior)[others].mean()
    return within - 2 * kernel(z, prior).mean()


def test_the_estimate_is_the_u_statistic_of_pairs():
    rng = np.random.default_rng(0)
    z, prior = rng.normal(1, 2, (40, 3)), rng.normal(size=(40, 3))
    value = float(mmd(torch.from_numpy(z), torch.from_numpy(prior)))
    np.testing.assert_allclose(value, expected_mmd(z, prior), rtol=1e-9)


def test_the_estimate_is_unbiased_and_sees_a_shift():
    rng = np.random.default_rng(0)

    def estimates(shift: float) -> list[float]:
        pairs = torch.from_numpy(rng.normal(size=(400, 2, 30, 2)))
        return [float(mmd(z + shift, prior)) for z, prior in pairs]

    same = estimates(0.0)
    assert abs(np.mean(same)) < 3 * np.std(same) / 20
    assert np.mean(estimates(0.5)) > 10 * np.std(same) / 20


def test_the_penalty_is_weighted_per_element_and_single_codes_have_none(build):
    module = build("wasserstein", SHAPE, mmd_weight=7.0)
    z = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    penalty = module.penalty(Images().x, z)
    torch.manual_seed(1)
    expected = 7 * expected_mmd(z.numpy(), torch.randn_like(z).numpy()) / math.prod(SHAPE)
    np.testing.assert_allclose(float(penalty), expected, rtol=1e-9)
    assert float(module.penalty(Images().x, z[:1])) == 0
