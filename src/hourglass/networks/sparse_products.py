"""Products of sparse codes and weights on the CPU, which read only the rows of active units.

torch's `embedding_bag` sums the rows of a matrix, weighted, over bags of indices. It computes the
reconstruction with one bag per sample, and the gradients of the weights with one bag per unit.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

# Measured bounds, from which on these products are faster than dense ones: elements of a sample,
# multiplications of the dense product, and share of units that are active.
MIN_ELEMENTS, MIN_PRODUCT, MAX_ACTIVE_SHARE = 128, 2**22, 1 / 20
PROBED_SAMPLES = 8  # whose codes tell whether a batch is sparse


class ActiveUnits:
    """The positions of E active units in codes of a shape, (N, latent_dim), ordered by sample.

    `flat` are their indices in the flattened codes, ascending.
    """

    def __init__(self, flat: np.ndarray, shape: tuple[int, int]) -> None:
        self.shape = shape
        rows, units = np.divmod(flat, shape[1])
        self.flat, self.rows, self.units = map(torch.from_numpy, (flat, rows, units))
        self.bags = torch.from_numpy(np.searchsorted(rows, np.arange(shape[0] + 1)))

    @cached_property
    def by_unit(self) -> tuple[Tensor, Tensor]:
        """The order of the positions by unit, (E,), and the bags of units, (latent_dim + 1,)."""
        order = np.argsort(self.units.numpy(), kind="stable")
        ends = np.bincount(self.units.numpy(), minlength=self.shape[1]).cumsum()
        return torch.from_numpy(order), torch.from_numpy(np.append(0, ends))

    def combine(self, values: Tensor, weight: Tensor) -> Tensor:
        """Return z W, for codes z with `values`, (E,): (latent_dim, D) -> (N, D)."""
        return _bags(self.units, weight, self.bags, values)

    def combine_transposed(self, values: Tensor, x: Tensor) -> Tensor:
        """Return z^T x, for codes z with `values`, (E,): (N, D) -> (latent_dim, D)."""
        order, bags = self.by_unit
        return _bags(self.rows[order], x, bags, values[order])

    def products(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the inner product of sample and unit at each position, x W^T: -> (E,)."""
        product: Tensor = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            x, weight, self.units, self.bags[:-1], self.rows, 0
        )
        return product


def _bags(indices: Tensor, weight: Tensor, bags: Tensor, values: Tensor) -> Tensor:
    return functional.embedding_bag(
        indices, weight, bags, mode="sum", per_sample_weights=values, include_last_offset=True
    )


class Encode(Function):
    """Select pre-activations x W + b of active units, whose gradients need few rows of W.

    The arguments are x, (N, D), W^T, (latent_dim, D), b, and all pre-activations, (N, latent_dim),
    which are not differentiated.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, pre: Tensor, active: ActiveUnits
    ) -> Tensor:
        """Return the values at the active units, (E,)."""
        ctx.save_for_backward(x, weight)
        ctx.active = active
        return pre.flatten().index_select(0, active.flat)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, W^T and b."""
        (x, weight), active = ctx.saved_tensors, ctx.active
        of_x = active.combine(gradient, weight) if ctx.needs_input_grad[0] else None
        of_bias = gradient.new_zeros(len(weight)).index_add(0, active.units, gradient)
        return of_x, active.combine_transposed(gradient, x), of_bias, None, None


class Decode(Function):
    """Compute z W for codes z with `values` at active units, and its gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, active: ActiveUnits) -> Tensor:
        """Return z W: (E,), (latent_dim, D) -> (N, D)."""
        ctx.save_for_backward(values, weight)
        ctx.active = active
        return active.combine(values, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the values and of W."""
        (values, weight), active = ctx.saved_tensors, ctx.active
        gradient = gradient.contiguous()
        of_values = active.products(gradient, weight) if ctx.needs_input_grad[0] else None
        of_weight = active.combine_transposed(values, gradient) if ctx.needs_input_grad[1] else None
        return of_values, of_weight, None


def is_worthwhile(samples: int, weight: Tensor) -> bool:
    """Return whether sparse products with a weight, (latent_dim, D), may be faster than dense."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and weight.shape[1] >= MIN_ELEMENTS
        and samples * weight.numel() >= MIN_PRODUCT
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()  # also in an export
    )


def decode(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return z W + b: codes (N, latent_dim), (latent_dim, D), (D,) -> (N, D).

    If few units are active and no gradient is needed, only their rows of W are read.
    """
    if torch.is_grad_enabled() or z.dtype != weight.dtype or not is_worthwhile(len(z), weight):
        return z @ weight + bias
    most = MAX_ACTIVE_SHARE * z.shape[1]
    if int(z[:PROBED_SAMPLES].count_nonzero()) > most * len(z[:PROBED_SAMPLES]):
        return z @ weight + bias
    active = ActiveUnits(np.flatnonzero(z.ne(0).numpy()), (len(z), z.shape[1]))
    return active.combine(z.flatten()[active.flat], weight) + bias
