"""Codes of a batch in training: the selection of units, and their values with gradients."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hourglass.networks.onednn_linear import linear
from hourglass.networks.sparse import SparseDictionary
from hourglass.networks.sparse_activations import (
    indices_of_top_of_batch,
    indices_of_top_of_samples,
    top_of_batch,
    top_of_samples,
)
from hourglass.networks.sparse_products import (
    MAX_ACTIVE_SHARE,
    ActiveUnits,
    Decode,
    Encode,
    is_worthwhile,
)


@dataclass
class TrainingCodes:
    """Pre-activations of N samples: of all units, (N, latent_dim), or of `active` ones, (E,).

    `centred` are the inputs minus b_dec, (N, D). `z` below are values of the shape of `values`.
    """

    network: SparseDictionary
    centred: Tensor
    values: Tensor
    active: ActiveUnits | None

    def of_units(self, parameter: Tensor) -> Tensor:
        """Return a parameter of all units, (latent_dim,), for the units of `values`."""
        return parameter if self.active is None else parameter.index_select(0, self.active.units)

    def decode(self, z: Tensor, weight: Tensor) -> Tensor:
        """Return z W: (latent_dim, D) -> (N, D)."""
        product: Tensor
        product = z @ weight if self.active is None else Decode.apply(z, weight, self.active)
        return product

    def decode_nested(self, z: Tensor, weight: Tensor, ends: list[int]) -> list[Tensor]:
        """Return z W of the first units only, for each number of units in `ends`, ascending."""
        outputs: list[Tensor] = []
        for start, end in zip([0, *ends], ends, strict=False):
            outputs.append(self._decode_range(z, weight, start, end))
            if start:
                outputs[-1] = outputs[-1] + outputs[-2]
        return outputs

    def _decode_range(self, z: Tensor, weight: Tensor, start: int, end: int) -> Tensor:
        if self.active is None:
            return z[:, start:end] @ weight[start:end]
        units = self.active.units.numpy()
        inside = np.flatnonzero((units >= start) & (units < end))
        part = ActiveUnits(self.active.flat.numpy()[inside], self.active.shape)
        product: Tensor = Decode.apply(z[torch.from_numpy(inside)], weight, part)
        return product

    def fired(self, z: Tensor) -> Tensor:
        """Return 1 for the units that are active for a sample, (latent_dim,), and 0 for others."""
        if self.active is None:
            return (z > 0).any(0).to(z.dtype)
        units = self.active.units[z > 0]
        return z.new_zeros(self.network.latent_dim).index_fill(0, units, 1.0)


def training_codes(network: SparseDictionary, x: Tensor, bandwidth: Tensor) -> TrainingCodes:
    """Return the pre-activations of samples, (N, *S), 0 for units that are not selected.

    "topk", "batch_topk" and "matryoshka" select units by rank. The other sparsities select none in
    advance; values without influence on the loss may then be left out of the active ones. Active
    units are listed if products with few of them are faster than dense ones. `bandwidth` is that of
    the straight-through estimates.
    """
    centred = network.encoder[0](x) - network.b_dec
    weight = network.W_enc.T
    pre = linear(centred, weight, network.b_enc)
    if is_worthwhile(len(pre), weight):
        flat = _indices(network, pre.detach(), bandwidth)
        if len(flat) <= MAX_ACTIVE_SHARE * pre.numel():
            active = ActiveUnits(flat, (len(pre), network.latent_dim))
            values = Encode.apply(centred, weight, network.b_enc, pre.detach(), active)
            return TrainingCodes(network, centred, values, active)
    if network.sparsity == "topk":
        pre = torch.where(top_of_samples(pre.detach(), network.k), pre, 0.0)
    elif network.sparsity in ("batch_topk", "matryoshka"):
        pre = torch.where(top_of_batch(pre.detach(), network.k), pre, 0.0)
    return TrainingCodes(network, centred, pre, None)


def _indices(network: SparseDictionary, pre: Tensor, bandwidth: Tensor) -> np.ndarray:
    """Return the ascending flat indices of the units that may influence the loss, on the CPU."""
    threshold = network.threshold.detach()
    if network.sparsity == "topk":
        return indices_of_top_of_samples(pre, network.k)
    if network.sparsity in ("batch_topk", "matryoshka"):
        return indices_of_top_of_batch(pre, network.k, float(threshold.numpy()[0]))
    least = {"l1": threshold, "gated": threshold.clamp(max=0.0)}.get(
        network.sparsity, threshold - bandwidth / 2
    )
    return np.flatnonzero((pre > least).numpy())
