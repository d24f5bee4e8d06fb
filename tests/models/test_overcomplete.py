"""The width and the noise of overcomplete codes."""

import math

import pytest

from hourglass.models.corruption import Corruption
from hourglass.models.overcomplete import Overcomplete

SHAPES = [(1, 1, 1), (1, 5, 7), (3, 8, 8), (30,)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("expansion", [1.001, 1.5, 4.0])
def test_the_code_is_wider_than_a_sample(shape, expansion):
    size = math.prod(shape)
    latent_dim = Overcomplete(shape, expansion).network.latent_dim
    assert size < latent_dim
    assert expansion * size <= latent_dim < expansion * size + 1


@pytest.mark.parametrize("expansion", [1.0, 0.5, -2.0, float("nan")])
def test_a_code_no_wider_than_a_sample_is_refused(refusal, expansion):
    assert f"expansion is {expansion}" in refusal(Overcomplete, (1, 8, 8), expansion)


def test_an_overcomplete_code_without_noise_is_refused(refusal):
    assert "masking and salt_and_pepper are 0" in refusal(Overcomplete, (12,), noise_factor=0.0)


@pytest.mark.parametrize(
    "noise", [{"noise_factor": 0.1}, {"masking": 0.1}, {"salt_and_pepper": 0.1}]
)
def test_any_kind_of_noise_is_sufficient(noise):
    assert Overcomplete((12,), **{"noise_factor": 0.0} | noise).corruption == Corruption(**noise)
