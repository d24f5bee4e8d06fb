"""The adversarial variant equals two optimizers in plain torch, and its codes become normal."""

import copy
import math

import pytest
import torch
from scipy.stats import kstest
from torch.nn import functional

from tests.training.conftest import SHAPE, Images

WEIGHT, RATE = 3.0, 0.01


def plain_steps(module, x: torch.Tensor, steps: int) -> None:
    """Take steps of Makhzani et al.'s two losses with two optimizers."""
    network, discriminator = module.network, module.discriminator
    of_network = torch.optim.Adam(network.parameters(), RATE)
    of_discriminator = torch.optim.Adam(discriminator.parameters(), RATE)
    for _ in range(steps):
        z = network.encoder(x)
        draws = torch.randn_like(z)
        loss = functional.mse_loss(network.decoder(z).sigmoid(), x)
        fooling = functional.binary_cross_entropy_with_logits(discriminator(z), torch.ones(len(x)))
        network_gradients = torch.autograd.grad(
            loss + WEIGHT * fooling / math.prod(SHAPE), list(network.parameters())
        )
        both = torch.cat([discriminator(z.detach()), discriminator(draws)])
        targets = torch.cat([torch.zeros(len(x)), torch.ones(len(x))])
        telling = functional.binary_cross_entropy_with_logits(both, targets)
        gradients = torch.autograd.grad(telling, list(discriminator.parameters()))
        for parameters, values, optimizer in (
            (network.parameters(), network_gradients, of_network),
            (discriminator.parameters(), gradients, of_discriminator),
        ):
            for parameter, value in zip(parameters, values, strict=True):
                parameter.grad = value
            optimizer.step()


def test_one_optimizer_equals_two(build, train):
    module = build(
        "adversarial", SHAPE, learning_rate=RATE, adversarial_weight=WEIGHT, activation="tanh"
    )
    reference, x = copy.deepcopy(module), Images().x
    torch.manual_seed(1)
    train(module, x, 5)
    torch.manual_seed(1)
    plain_steps(reference, x, 5)
    torch.testing.assert_close(
        dict(module.named_parameters()), dict(reference.named_parameters()), rtol=1e-4, atol=1e-6
    )


def test_the_value_of_the_penalty_is_the_encoders_loss_alone(build):
    module = build("adversarial", SHAPE, adversarial_weight=WEIGHT)
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    probability = module.discriminator(z).sigmoid()
    expected = -WEIGHT * probability.log().mean() / math.prod(SHAPE)
    torch.testing.assert_close(module.penalty(Images().x, z), expected)


@pytest.mark.parametrize(
    ("variant", "setting", "weight"),
    [("adversarial", "adversarial_weight", 0.05), ("wasserstein", "mmd_weight", 10.0)],
)
def test_codes_become_standard_normal(build, variant, setting, weight):
    statistics = []
    x = 0.5 * torch.randn(600, 6, generator=torch.Generator().manual_seed(0))
    for value in (0.0, weight):
        module = build(variant, (6,), latent_dim=2, **{setting: value})
        optimizer = torch.optim.Adam(module.parameters(), 0.005, fused=True)
        torch.manual_seed(0)
        for batch in x.split(100) * 40:
            optimizer.zero_grad()
            module.training_step(batch).backward()
            optimizer.step()
        z = module.encode(x).detach().numpy()
        statistics.append(max(kstest(unit, "norm").statistic for unit in z.T))
    assert statistics[1] < 0.1 < statistics[0]


def test_the_discriminator_is_in_the_checkpoint_but_not_in_the_network(build):
    module = build("adversarial", SHAPE)
    names = set(module.state_dict())
    assert {f"discriminator.{name}" for name in module.discriminator.state_dict()} <= names
    assert not any("discriminator" in name for name in module.network.state_dict())


def test_layers_without_units_are_refused(build, refusal):
    assert "discriminator is [8, 0]" in refusal(build, "adversarial", SHAPE, discriminator=[8, 0])


def test_samples_are_decoded_draws_of_the_standard_normal(build):
    network = build("adversarial", SHAPE).network.eval()
    drawn = network.draw_codes(5000, 1)
    assert kstest(drawn.flatten().numpy(), "norm").pvalue > 1e-3
    assert torch.equal(network.generate(3, 1), network.decode(network.draw_codes(3, 1)))
    assert not torch.equal(drawn, network.draw_codes(5000, 2))
