"""The terms of beta-TCVAE against closed forms of Gaussians and against the ELBO."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from hourglass.models.beta_tc import kl_terms
from hourglass.models.variational import Variational
from tests.training.conftest import SHAPE, Images


def posteriors(count: int, correlation: float, spread: float = 0.3):
    """Return draws, means and log-variances of posteriors whose mean is normal.

    The aggregate q(z) is N(0, C) with C the covariance of the means plus spread^2 I.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, count, 2, generator=generator, dtype=torch.float64)
    root = np.linalg.cholesky([[1, correlation], [correlation, 1]])
    mean = noise[0] @ torch.from_numpy(root).T
    log_var = torch.full_like(mean, 2 * math.log(spread))
    return mean + spread * noise[1], mean, log_var


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_the_terms_are_those_of_gaussians(correlation):
    spread = 0.3
    terms = kl_terms(*posteriors(1500, correlation, spread), 1500)
    covariance = np.array([[1, correlation], [correlation, 1]]) + spread**2 * np.eye(2)
    variances = np.diag(covariance)
    determinant = np.linalg.det(covariance)
    information = 0.5 * np.log(determinant / spread**4)
    total_correlation = 0.5 * np.log(variances.prod() / determinant)
    divergence = 0.5 * (variances - 1 - np.log(variances)).sum()
    expected = [information, total_correlation, divergence]
    assert [float(term.mean()) for term in terms] == pytest.approx(expected, abs=0.06)


def test_the_terms_add_up_to_the_kl_term():
    z, mean, log_var = posteriors(300, 0.8)
    total = sum(kl_terms(z, mean, log_var, 1000))
    deviation = np.exp(0.5 * log_var.numpy())
    expected = (norm.logpdf(z, mean, deviation) - norm.logpdf(z)).sum(1)
    np.testing.assert_allclose(total, expected, rtol=1e-9)


def test_the_estimate_of_q_is_unbiased():
    """The mean over all batches that hold a sample is the density over all samples."""
    z, mean, log_var = posteriors(6, 0.5)
    deviation = np.exp(0.5 * log_var.numpy())
    densities = norm.pdf(z.numpy()[:, None], mean.numpy(), deviation).prod(2)  # (6, 6)
    estimates = []
    for other in range(1, 6):
        batch = [0, other]
        information, _, _ = kl_terms(z[batch], mean[batch], log_var[batch], 6)
        estimates.append(densities[0, 0] / np.exp(float(information[0])))
    assert np.mean(estimates) == pytest.approx(densities[0].mean(), rel=1e-9)


def test_a_batch_of_one_sample_has_no_total_correlation():
    """Its units are independent given the sample; the weights of the estimate add up to 1."""
    _, correlation, _ = kl_terms(*(each[:1] for each in posteriors(6, 0.5)), 1000)
    assert float(correlation) == pytest.approx(0, abs=1e-9)


def test_the_loss_is_the_elbo_and_the_weighted_total_correlation(build):
    settings = {"latent_dim": 3, "hidden": [8], "schedule": "constant"}
    variational, x = Variational(SHAPE, **settings), Images().x
    losses = []
    for beta in (1.0, 1001.0):
        module = build("beta_tc", SHAPE, beta=beta, **settings)
        module.load_state_dict(variational.state_dict())
        torch.manual_seed(1)
        losses.append(module.training_loss(x).item())
    torch.manual_seed(1)
    assert losses[0] == pytest.approx(variational.training_loss(x).item(), rel=1e-5)
    mean, log_var = variational.network.posterior(x)
    torch.manual_seed(1)
    z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
    _, correlation, _ = kl_terms(z, mean, log_var, 0)
    expected = 1000 * correlation.mean().item() / x[0].numel()
    assert losses[1] - losses[0] == pytest.approx(expected, rel=1e-3)
