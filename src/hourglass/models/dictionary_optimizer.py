"""Adam for a sparse dictionary: unit norm of its directions, and learning rates per unit."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from hourglass.networks.sparse import SparseDictionary

EPSILON = 1e-8  # of Adam, for the squared error of scaled samples, summed over elements


def dictionary_optimizer(
    module: torch.nn.Module, network: SparseDictionary, learning_rate: float, weight_decay: float
) -> Adam:
    """Return Adam for the parameters of a module, which keeps the rows of W_dec at norm 1.

    Its second group has the parameters in the unit of samples, see `adapt_to_scale`. The part
    of the gradient along a row is removed, so that Adam's moments hold only changes of direction
    (Bricken et al. 2023, appendix "Advice for training").
    """
    scaled = [network.b_enc, network.b_dec]
    if isinstance(network.threshold, torch.nn.Parameter):
        scaled.append(network.threshold)
    others = [p for p in module.parameters() if all(p is not q for q in scaled)]
    groups = [{"params": others}, {"params": scaled}]
    optimizer = Adam(groups, learning_rate, weight_decay=weight_decay, fused=True)

    def normalise(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        with torch.no_grad():
            network.W_dec.div_(network.W_dec.norm(dim=1, keepdim=True))
            if network.sparsity == "jumprelu":
                network.threshold.clamp_(min=0)

    # A hook of the optimizer would run before the gradient is computed in Lightning's loop, where
    # the step computes it.
    network.W_dec.register_hook(lambda gradient: tangential(gradient, network.W_dec))
    optimizer.register_step_post_hook(normalise)
    return optimizer


@torch.no_grad()
def tangential(gradient: Tensor, directions: Tensor) -> Tensor:
    """Return gradients of unit vectors without the part along the vectors, (n, D) each."""
    along = (gradient * directions).sum(1, keepdim=True)
    return torch.addcmul(gradient, along, directions, value=-1)


def adapt_to_scale(optimizer: Optimizer, schedulers: list[Any], variance: float, size: int) -> None:
    """Make Adam's steps those of a training on scaled samples of `size` elements.

    In the unit of the samples, biases and thresholds are sqrt(variance) times as large, and the
    gradients of the mean loss variance / size times as large as those of the summed loss.
    """
    factor = variance**0.5
    scaled = optimizer.param_groups[1]
    for key in ("lr", "initial_lr"):
        if key in scaled:
            scaled[key] = scaled[key] * factor
    for scheduler in schedulers:
        scheduler.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
    optimizer.param_groups[0]["eps"] = EPSILON * variance / size
    scaled["eps"] = EPSILON * factor / size


@torch.no_grad()
def reset_units(optimizer: Optimizer, network: SparseDictionary, units: Tensor) -> None:
    """Set Adam's moments of some units, (latent_dim,) bool, to 0."""
    for parameter in (network.W_enc, network.W_dec, network.b_enc):
        for name in ("exp_avg", "exp_avg_sq"):
            moments = optimizer.state[parameter].get(name)
            if moments is not None:
                (moments.T if parameter is network.W_enc else moments)[units] = 0.0
