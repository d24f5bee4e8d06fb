"""The variational network against torch.distributions and linear decoders."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from hourglass.models.variational import Variational as Module
from hourglass.networks import is_image
from hourglass.networks.variational import Variational, gaussian_kl
from hourglass.networks.weights import load, write

SHAPES = [(1, 5, 4), (6,)]
LATENT_DIM = 3
KINDS = pytest.mark.parametrize(
    ("shape", "likelihood"),
    [((1, 5, 4), "gaussian"), ((1, 5, 4), "bernoulli"), ((6,), "gaussian")],
    ids=str,
)
SCORES = pytest.mark.parametrize("score_by", ["reconstruction", "elbo", "likelihood"])
SAMPLED = pytest.mark.parametrize("score_by", ["elbo", "likelihood"])
ARCHITECTURES = pytest.mark.parametrize("architecture", ["dense", "convolutional"])


def network(shape: tuple[int, ...], **settings) -> Variational:
    torch.manual_seed(0)
    net = Variational(shape, LATENT_DIM, **({"hidden": [8], "channels": [2, 3]} | settings))
    net.log_variance.data.fill_(-1.3 if net.likelihood == "gaussian" else 0.0)
    return net.eval()


def module(shape: tuple[int, ...], **settings) -> Module:
    torch.manual_seed(0)
    built = Module(shape, LATENT_DIM, hidden=[8], schedule="constant", **settings)
    if settings.get("loss") != "bce":
        built.network.get_parameter("log_variance").data.fill_(-1.3)
    return built


def samples(shape: tuple[int, ...], n: int = 16) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(1))


def reference(net: Variational, x: Tensor, z: Tensor) -> Tensor:
    """Return log p(x given z) by torch.distributions, (N,)."""
    p: Distribution = Normal(net.decode(z), (0.5 * net.log_variance).exp())
    if net.likelihood == "bernoulli":
        p = Bernoulli(logits=net.decode_logits(z), validate_args=False)  # x lies between 0 and 1
    return p.log_prob(x).flatten(1).sum(1)


def q(net: Variational, x: Tensor) -> Independent:
    mean, log_var = net.posterior(x)
    return Independent(Normal(mean, log_var.exp().sqrt()), 1)


def prior(latent_dim: int = LATENT_DIM) -> Independent:
    return Independent(Normal(torch.zeros(latent_dim), torch.ones(latent_dim)), 1)


def test_gaussian_kl_is_torchs_divergence_from_the_standard_normal():
    mean, log_var = torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0)) * 2
    mean[0], log_var[0] = 0, 0
    spread = Independent(Normal(mean, (0.5 * log_var).exp()), 1)
    torch.testing.assert_close(gaussian_kl(mean, log_var), kl_divergence(spread, prior(4)))


@KINDS
def test_likelihoods_and_bounds_of_one_draw_are_those_of_torchs_distributions(shape, likelihood):
    net, x = network(shape, likelihood=likelihood).train(), samples(shape)

    def drawn(bound: Callable[..., Tensor], **settings) -> Tensor:
        torch.manual_seed(3)
        return bound(x, samples=1, **settings)

    torch.manual_seed(3)
    z = q(net, x).rsample()
    log_p, kl = reference(net, x, z), kl_divergence(q(net, x), prior())
    torch.testing.assert_close(net.log_p(x, net.decode_logits(z)), log_p)
    torch.testing.assert_close(drawn(net.elbo, beta=0.7), log_p - 0.7 * kl)
    expected = log_p + prior().log_prob(z) - q(net, x).log_prob(z)
    torch.testing.assert_close(drawn(net.log_likelihood), expected, rtol=1e-4, atol=1e-4)


class Linear:
    """A VAE whose decoder is linear and whose q is the posterior of its codes, or `off` it.

    p(x) is a Gaussian in closed form, N(b, W W^T + variance I); so is p(z given x), and diagonal
    where the columns of W are orthogonal. `off` shifts and widens q.
    """

    features, variance = 6, 0.4

    def __init__(self, off: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(0)
        columns = torch.randn(self.features, LATENT_DIM, dtype=torch.float64, generator=generator)
        w = torch.linalg.qr(columns).Q * torch.tensor([2.0, 1.0, 0.5])
        b = torch.randn(self.features, dtype=torch.float64, generator=generator)
        self.net = network((self.features,), hidden=()).double()
        self.net.decoder[0].weight.data, self.net.decoder[0].bias.data = w, b  # type: ignore[index]
        self.net.log_variance.data.fill_(np.log(self.variance))
        self.posterior_variance = 1 / (1 + w.square().sum(0) / self.variance)
        self.to_mean = self.posterior_variance[:, None] * w.T / self.variance
        encoder = self.net.encoder[1]  # type: ignore[index]
        encoder.weight.data.zero_()
        encoder.weight.data[:LATENT_DIM] = self.to_mean
        encoder.bias.data[:LATENT_DIM] = off - self.to_mean @ b
        encoder.bias.data[LATENT_DIM:] = self.posterior_variance.log() + off
        self.b = b
        self.p = LowRankMultivariateNormal(b, w, torch.full_like(b, self.variance))

    def truth(self, x: Tensor) -> Tensor:
        return self.p.log_prob(x)

    def elbo(self, x: Tensor) -> Tensor:
        """Return log p(x) - KL(q, p(z given x)): the ELBO without sampling."""
        mean = (x - self.b) @ self.to_mean.T
        posterior = MultivariateNormal(mean, self.posterior_variance.diag())
        means, log_var = self.net.posterior(x)
        approximate = MultivariateNormal(means, torch.diag_embed(log_var.exp()))
        return self.truth(x) - kl_divergence(approximate, posterior)

    def draw(self, n: int) -> Tensor:
        torch.manual_seed(4)
        return self.p.sample((n,))


def test_the_bounds_of_a_linear_decoder_are_exact_if_q_is_the_posterior():
    linear = Linear()
    x = linear.draw(50)
    truth = linear.truth(x)
    for count in (1, 10):
        torch.testing.assert_close(linear.net.log_likelihood(x, count), truth)
    torch.testing.assert_close(linear.elbo(x), truth)
    torch.testing.assert_close(linear.net.elbo(x, 4_000), truth, rtol=0, atol=0.1)


def test_the_bounds_of_a_linear_decoder_are_ordered_if_q_is_not_the_posterior():
    linear = Linear(off=0.4)
    x = linear.draw(50)
    truth, elbo = linear.truth(x), linear.net.elbo(x, 4_000)
    likelihood = linear.net.log_likelihood(x, 4_000)
    torch.testing.assert_close(elbo, linear.elbo(x), rtol=0, atol=0.1)
    torch.testing.assert_close(likelihood, truth, rtol=0, atol=0.1)
    assert (elbo + 0.3 < likelihood).all()


def test_more_draws_tighten_the_bound_of_the_likelihood():
    linear = Linear(off=0.6)
    x = linear.draw(4000)
    linear.net.train()  # separate draws for each sample
    slack = [(linear.truth(x) - linear.net.log_likelihood(x, k)).mean() for k in (1, 4, 16, 64)]
    assert all(loose > 1.5 * tight for loose, tight in pairwise(slack))
    assert slack[-1] > -0.01


@SCORES
@ARCHITECTURES
@KINDS
def test_a_score_is_finite_and_independent_of_the_batch_and_of_the_generator(
    score_by, architecture, shape, likelihood, tmp_path
):
    settings = {"score_by": score_by, "architecture": architecture, "likelihood": likelihood}
    net, x, before = network(shape, **settings), samples(shape), torch.get_rng_state()
    with torch.no_grad():
        scores = net.score(x)
        assert scores.shape == (16,)
        assert scores.isfinite().all()
        assert (scores >= 0).all()
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(99)
        assert torch.equal(net.score(x), scores)
        for part in (slice(3), slice(3, 16), slice(None, None, 5)):
            torch.testing.assert_close(net.score(x[part]), scores[part])
        write(net, tmp_path)
        assert torch.equal(load(tmp_path).score(x), scores)


@SAMPLED
@KINDS
def test_a_score_is_the_negative_bound_up_to_a_constant(score_by, shape, likelihood):
    net, x = network(shape, score_by=score_by, likelihood=likelihood, samples=5), samples(shape)
    bound = net.elbo(x, 5) if score_by == "elbo" else net.log_likelihood(x, 5)
    constant = net.score(x) + bound
    torch.testing.assert_close(constant, constant[:1].expand(16))
    assert torch.equal(net.score(x).argsort(), (-bound).argsort())
    best = reference(net, net.decode(torch.zeros(1, LATENT_DIM)), torch.zeros(1, LATENT_DIM))
    expected = best if likelihood == "gaussian" else torch.zeros(1)  # p of what is hit exactly
    torch.testing.assert_close(constant[:1], expected)


def test_the_reconstruction_is_that_of_the_mean():
    net, x = network((6,)), samples((6,))
    assert torch.equal(net.encode(x), net.posterior(x)[0])
    assert torch.equal(net.score(x), net.error(x))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@ARCHITECTURES
def test_generated_samples_are_those_of_the_seed(shape, architecture):
    net, before = network(shape, architecture=architecture), torch.get_rng_state()
    found = net.generate(5)
    assert found.shape == (5, *shape)
    assert torch.equal(found, net.generate(5, seed=0))
    assert not torch.equal(found, net.generate(5, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    if is_image(shape):
        assert 0 <= found.min() <= found.max() <= 1


def test_generated_samples_of_a_linear_decoder_have_the_covariance_of_the_prior():
    net = Linear().net.float()
    found = net.generate(20_000).detach()
    w, b = net.decoder[0].weight.detach(), net.decoder[0].bias.detach()
    torch.testing.assert_close(found.mean(0), b, rtol=0, atol=0.05)
    torch.testing.assert_close(found.T.cov(), w @ w.T, rtol=0, atol=0.1)


@pytest.mark.parametrize(("loss", "trained"), [("mse", True), ("bce", False)])
def test_only_the_gaussian_likelihood_has_a_variance_that_is_trained(loss, trained):
    net = module((1, 5, 4), loss=loss).network
    assert ("log_variance" in dict(net.named_parameters())) is trained
    assert ("log_variance" in net.state_dict()) is trained


@KINDS
@pytest.mark.parametrize("settings", [{}, {"beta": 0.0}, {"beta": 4.0}, {"masking": 0.5}], ids=str)
def test_the_loss_is_the_negative_bound_per_element(shape, likelihood, settings):
    loss = "bce" if likelihood == "bernoulli" else "mse"
    trained, x = module(shape, loss=loss, **settings), samples(shape)
    torch.manual_seed(3)
    value = trained.training_loss(x)
    torch.manual_seed(3)
    net, encoder_input = trained.network, trained.corrupt(x)
    posterior = q(net, encoder_input)
    kl = kl_divergence(posterior, prior())
    bound = reference(net, x, posterior.rsample()) - settings.get("beta", 1.0) * kl
    torch.testing.assert_close(value, -bound.mean() / x[0].numel())


def test_in_training_each_sample_has_a_separate_draw():
    net, x = network((6,)).train(), samples((6,), 1).expand(8, 6)
    assert len(net.elbo(x).unique()) == 8
    assert len(net.eval().elbo(x).unique()) == 1


@pytest.mark.parametrize(
    ("setting", "value"), [("beta", -1.0), ("beta", float("nan")), ("samples", 0)]
)
def test_settings_out_of_range_are_refused(refusal, setting, value):
    assert f"{setting} is {value}" in refusal(module, (6,), **{setting: value})
