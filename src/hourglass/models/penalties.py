"""Penalty terms on latent codes, for the losses of variants."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Encoder = Callable[[Tensor], Tensor]
KERNEL_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernel of `mmd`


def kl_sparsity(z: Tensor, target: float) -> Tensor:
    """Return sum_j KL(target || mean activation of unit j), for codes (N, latent_dim) in [0, 1].

    KL is the divergence between two Bernoulli distributions. The sum is 0 if the mean activation of
    every unit equals `target`. Means are clamped to [1e-6, 1 - 1e-6], because the divergence is
    infinite at 0 and 1. Source: Ng 2011, CS294A lecture notes, section 3.
    """
    mean = z.mean(0).clamp(1e-6, 1 - 1e-6)
    desired = torch.full_like(mean, target)
    return (
        desired * (desired / mean).log() + (1 - desired) * ((1 - desired) / (1 - mean)).log()
    ).sum()


def l1(z: Tensor) -> Tensor:
    """Return the mean over samples of sum_j |z_j|, for codes (N, latent_dim)."""
    return z.abs().sum(1).mean()


def layer_frobenius(linear: nn.Linear, activation: nn.Module, x: Tensor) -> Tensor:
    """Return ||dz/dx||_F^2 of z = s(W x + b) for flat inputs: (N, inputs) -> (N,).

    The closed form is sum_j s'(a_j)^2 sum_i W_ji^2, with a = W x + b (Rifai et al. 2011, section
    3.1). It costs one more pass through the layer, whatever the number of units.
    """
    a = linear(x)
    (slope,) = torch.autograd.grad(activation(a).sum(), a, create_graph=True)
    return slope.square() @ linear.weight.square().sum(1)


def exact_frobenius(encode: Encoder, x: Tensor) -> Tensor:
    """Return ||dz/dx||_F^2 of any encoder: (N, *S) -> (N,).

    It takes one backward pass per unit of the code. All passes run in one vectorised call, so time
    and memory grow with latent_dim.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        z = encode(x)
        rows = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
        rows = rows[:, None, :].expand(-1, len(z), -1)
        (jacobian,) = torch.autograd.grad(z, x, rows, create_graph=True, is_grads_batched=True)
    return jacobian.square().flatten(2).sum((0, 2))


def estimated_frobenius(encode: Encoder, x: Tensor, probes: int = 1) -> Tensor:
    """Return an unbiased estimate of ||dz/dx||_F^2 of any encoder: (N, *S) -> (N,).

    The estimate is the mean of ||v^T J||^2 over `probes` random sign vectors v (Hutchinson 1990),
    for J = dz/dx. Each probe costs one backward pass, whatever the latent_dim. With A = J J^T, the
    variance is 2 (||A||_F^2 - sum_j A_jj^2) / probes. It is 0 if the rows of J are orthogonal.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        z = encode(x)
        signs = 2.0 * torch.randint(0, 2, (probes, *z.shape), device=z.device).to(z.dtype) - 1
        (products,) = torch.autograd.grad(z, x, signs, create_graph=True, is_grads_batched=True)
    return products.square().flatten(2).sum(2).mean(0)


def mmd(z: Tensor, prior: Tensor) -> Tensor:
    """Return the unbiased estimate of MMD^2 between codes and draws from N(0, I): (N, d) each.

    The kernel is the sum of inverse multiquadratics c / (c + ||u - v||^2) with c = 2 d s for s in
    KERNEL_SCALES (Tolstikhin et al. 2018, section 4 and their implementation). An estimate may be
    below 0. It is 0 for a single code, which has no distance from another one.
    """
    count, dim = z.shape
    if count < 2:
        return 0 * z.sum()
    between = _inverse_multiquadratic(z, prior, dim).mean()
    within = sum(
        _inverse_multiquadratic(u, u, dim).sum() - len(KERNEL_SCALES) * count for u in (z, prior)
    )
    return within / (count * (count - 1)) - 2 * between


def _inverse_multiquadratic(u: Tensor, v: Tensor, dim: int) -> Tensor:
    """Return the kernel of all pairs: (N, d), (M, d) -> (N, M)."""
    squares = u.square().sum(1)[:, None] - 2 * u @ v.T + v.square().sum(1)
    squares = squares.clamp_min(0)  # rounding
    return sum(2 * dim * s / (2 * dim * s + squares) for s in KERNEL_SCALES)  # type: ignore[return-value]
