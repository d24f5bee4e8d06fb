"""The width and the noise of overcomplete codes."""

import math

import pytest

from hourglass.models.corruption import Corruption
from hourglass.models.overcomplete import Overcomplete


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 7), (3, 8, 8), (30,)], ids=str)
@pytest.mark.parametrize("expansion", [1.001, 1.5, 4.0])
def test_the_code_is_wider_than_a_sample(shape, expansion):
    size, latent_dim = math.prod(shape), Overcomplete(shape, expansion).network.latent_dim
    assert size < latent_dim
    assert expansion * size <= latent_dim < expansion * size + 1


@pytest.mark.parametrize("expansion", [1.0, 0.5, -2.0, float("nan")])
def test_a_code_no_wider_than_a_sample_is_refused(refusal, expansion):
    assert f"expansion is {expansion}" in refusal(Overcomplete, (1, 8, 8), expansion)


@pytest.mark.parametrize("noise", ["noise_factor", "masking", "salt_and_pepper"])
def test_any_kind_of_noise_is_sufficient_but_one_is_needed(refusal, noise):
    module = Overcomplete((12,), **{"noise_factor": 0.0, noise: 0.1})
    assert module.corruption == Corruption(**{noise: 0.1})
    assert noise in refusal(Overcomplete, (12,), noise_factor=0.0)
