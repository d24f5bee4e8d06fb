"""Sparse activations in training: batch top-k, and straight-through gradients of thresholds."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

# A bound below which no value is selected, as a fraction of the running threshold.
SELECTION_MARGIN = 0.7


class JumpReLU(Function):
    """Return z H(z - threshold), for the Heaviside function H (Rajamanoharan et al. 2024b).

    The gradient of the threshold is the straight-through estimate of equation 11,
    -(threshold / bandwidth) K((z - threshold) / bandwidth), with the rectangle K on (-1/2, 1/2).
    `threshold` has the shape of z, or one that broadcasts to it.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, threshold: Tensor, bandwidth: Tensor) -> Tensor:
        """Return the activation, of the shape of z."""
        ctx.save_for_backward(z, threshold, bandwidth)
        return torch.where(z > threshold, z, 0.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of z and of the threshold."""
        z, threshold, bandwidth = ctx.saved_tensors
        window = _window(z, threshold, bandwidth)
        of_threshold = (-(threshold / bandwidth) * window * gradient).sum_to_size(threshold.shape)
        return torch.where(z > threshold, gradient, 0.0), of_threshold, None


class Step(Function):
    """Return H(z - threshold), whose sum is the number of active units.

    The gradient of the threshold is the straight-through estimate of equation 12,
    -(1 / bandwidth) K((z - threshold) / bandwidth); that of z is 0. See `JumpReLU`.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, threshold: Tensor, bandwidth: Tensor) -> Tensor:
        """Return 1 for active units and 0 for others, of the shape of z."""
        ctx.save_for_backward(z, threshold, bandwidth)
        return (z > threshold).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of the threshold."""
        z, threshold, bandwidth = ctx.saved_tensors
        window = _window(z, threshold, bandwidth)
        return None, (-window / bandwidth * gradient).sum_to_size(threshold.shape), None


def _window(z: Tensor, threshold: Tensor, bandwidth: Tensor) -> Tensor:
    return ((z - threshold).abs() < bandwidth / 2).to(z.dtype)


def top_of_samples(pre: Tensor, k: int) -> Tensor:
    """Return True for the k largest pre-activations of each sample, if they are positive."""
    values, units = pre.topk(k, dim=1, sorted=False)
    return torch.zeros_like(pre, dtype=torch.bool).scatter(1, units, values > 0)


def top_of_batch(pre: Tensor, k: int) -> Tensor:
    """Return True for the N k largest pre-activations of a batch, (N, latent_dim), if positive.

    Source: Bussmann et al. 2024, BatchTopK.
    """
    values, positions = pre.flatten().topk(len(pre) * k, sorted=False)
    mask = torch.zeros(pre.numel(), dtype=torch.bool, device=pre.device)
    return mask.scatter(0, positions, values > 0).view_as(pre)


def indices_of_top_of_samples(pre: Tensor, k: int) -> np.ndarray:
    """Return the ascending flat indices of `top_of_samples`, on the CPU."""
    values, units = pre.topk(k, dim=1, sorted=False)
    flat = (units + torch.arange(len(pre))[:, None] * pre.shape[1])[values > 0]
    return np.sort(flat.numpy())


def indices_of_top_of_batch(pre: Tensor, k: int, threshold: float) -> np.ndarray:
    """Return the ascending flat indices of `top_of_batch`, on the CPU.

    The selection is exact. It is fast if the threshold of a former batch is similar, because only
    values above a fraction of it are sorted, unless they are too few.
    """
    values, count = pre.numpy().reshape(-1), len(pre) * k
    candidates = np.flatnonzero(values > SELECTION_MARGIN * threshold)
    if len(candidates) < count and threshold > 0:
        candidates = np.flatnonzero(values > 0)
    if len(candidates) <= count:
        return candidates
    selected = np.argpartition(values[candidates], len(candidates) - count)[-count:]
    return candidates[np.sort(selected)]
