"""Reconstruction losses by name, and their mixtures."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from torch import Tensor
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.networks.base import Network, is_image
from hourglass.networks.similarity import RADIUS, ms_ssim, scales, ssim
from hourglass.networks.variational import Likelihood

ElementLoss: TypeAlias = Literal["mse", "bce"]  # the mean of a loss of each element
LossName: TypeAlias = Literal["mse", "bce", "ssim", "ms_ssim"]
Loss: TypeAlias = LossName | dict[LossName, float]  # one loss, or the weights of several
SIMILARITIES = {"ssim": ssim, "ms_ssim": ms_ssim}
MIN_MS_SSIM_SIDE = 2 * (2 * RADIUS + 1)  # pixels, for two scales


def loss_weights(loss: Loss, network: Network) -> dict[LossName, float]:
    """Return the weight of each loss, checked for a network.

    Raises a UserError for an unknown name, for a weight that is not positive, and for a loss that
    does not suit the samples or the range of the outputs.
    """
    weights: dict[LossName, float] = dict(loss) if isinstance(loss, dict) else {loss: 1.0}
    if not weights:
        raise UserError(f"loss is {{}}; give one of {_listed(get_args(LossName))}, or weights.")
    for name, weight in weights.items():
        if name not in get_args(LossName):
            raise UserError(f"loss is {name!r}; give one of {_listed(get_args(LossName))}.")
        if not 0 < weight < math.inf:  # also for NaN
            raise UserError(f"the weight of {name} in loss is {weight}, but must be above 0.")
        _check(name, network)
    return weights


def likelihood_of(loss: ElementLoss) -> Likelihood:
    """Return the likelihood of a variational decoder whose negative logarithm is a loss.

    Raises a UserError for a loss without a likelihood.
    """
    if loss not in get_args(ElementLoss):
        raise UserError(
            f"loss is {loss!r}, but a variational decoder needs a likelihood; give 'mse' for a "
            "Gaussian or 'bce' for a Bernoulli one."
        )
    return "bernoulli" if loss == "bce" else "gaussian"


def _check(name: LossName, network: Network) -> None:
    """Raise a UserError if a loss does not suit a network."""
    shape = network.sample_shape
    if name in SIMILARITIES and not is_image(shape):
        raise UserError(
            f"loss is {name!r}, but samples of shape {tuple(shape)} are not images; use 'mse'."
        )
    if name != "mse" and not network.bounded:
        raise UserError(f"loss is {name!r}, but this output is not bound to [0, 1]; use 'mse'.")
    if name == "ms_ssim" and scales(*shape[1:]) < 2:
        raise UserError(
            f"loss is 'ms_ssim', but a side of these images has {min(shape[1:])} pixels and it "
            f"needs {MIN_MS_SSIM_SIDE}; use 'ssim'."
        )


def sample_losses(weights: dict[LossName, float], x: Tensor, logits: Tensor, y: Tensor) -> Tensor:
    """Return the weighted sum of losses of each sample: (N, *S) each -> (N,).

    `logits` are the outputs before the output activation, `y` those after it. The loss of a
    similarity is 1 minus it.
    """
    losses = []
    for name, weight in weights.items():
        if name in SIMILARITIES:
            loss = 1 - SIMILARITIES[name](x, y)
        elif name == "bce":
            loss = _mean(functional.binary_cross_entropy_with_logits(logits, x, reduction="none"))
        else:
            loss = _mean((y - x).square())
        losses.append(loss if weight == 1 else weight * loss)
    return sum(losses[1:], losses[0])


def _mean(losses: Tensor) -> Tensor:
    return losses.flatten(1).mean(1)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
