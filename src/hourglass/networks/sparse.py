"""Sparse dictionary: one linear encoder, a sparse activation and a linear decoder."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.networks.base import Network, constructor_arguments, require_at_least
from hourglass.networks.onednn_linear import linear
from hourglass.networks.sparse_products import decode

Sparsity: TypeAlias = Literal["l1", "topk", "batch_topk", "jumprelu", "gated", "matryoshka"]


class SparseDictionary(Network):
    """Write a sample as a sum of few of `latent_dim` directions, the rows of `W_dec`.

    z = s((x - b_dec) W_enc + b_enc) and x' = z W_dec + b_dec, for a flattened sample x of D
    elements. The sparse activation s keeps positive values only. For "l1" it is the ReLU, for
    "topk" it keeps the `k` largest values of each sample (Makhzani and Frey 2014; Gao et al. 2024).
    For all others it is the JumpReLU, which keeps the values above the unit's `threshold`
    (Rajamanoharan et al. 2024b), so a code does not depend on the batch.

    Images are flattened and reconstructions not bounded. Raises a UserError if `k` is above
    `latent_dim`.
    """

    has_sparse_codes = True
    encoder: nn.Sequential
    decoder: nn.Sequential

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        sparsity: Sparsity = "batch_topk",
        k: int = 16,
    ) -> None:
        super().__init__(**constructor_arguments(locals()))
        if sparsity not in get_args(Sparsity):
            names = ", ".join(get_args(Sparsity))
            raise UserError(f"sparsity is {sparsity!r}; give one of {names}.")
        require_at_least(1, k=k)
        if k > latent_dim:
            raise UserError(f"k is {k}, but must be at most latent_dim, {latent_dim}.")
        self.sparsity = sparsity
        self.k = k
        self.dictionary = math.prod(sample_shape), latent_dim
        encoder = SparseEncoder(*self.dictionary, sparsity, k)
        decoder = SparseDecoder(encoder)
        self.encoder = nn.Sequential(nn.Flatten(), encoder)
        self.decoder = nn.Sequential(decoder, nn.Unflatten(1, self.sample_shape))

    @property
    def W_enc(self) -> nn.Parameter:  # noqa: N802
        """The encoder's weights, (D, latent_dim)."""
        return self._encoder.W_enc

    @property
    def b_enc(self) -> nn.Parameter:
        """The encoder's bias, (latent_dim,)."""
        return self._encoder.b_enc

    @property
    def W_dec(self) -> nn.Parameter:  # noqa: N802
        """The decoder's weights, (latent_dim, D): one direction per unit, of norm 1."""
        return self._decoder.W_dec

    @property
    def b_dec(self) -> nn.Parameter:
        """The decoder's bias, (D,), which is subtracted from the encoder's input."""
        return self._encoder.b_dec

    @property
    def threshold(self) -> Tensor:
        """The smallest active value of each unit, (latent_dim,); 0 for "l1" and "topk"."""
        return self._encoder.threshold

    @property
    def _encoder(self) -> "SparseEncoder":
        encoder = self.encoder[1]
        assert isinstance(encoder, SparseEncoder)
        return encoder

    @property
    def _decoder(self) -> "SparseDecoder":
        decoder = self.decoder[0]
        assert isinstance(decoder, SparseDecoder)
        return decoder

    def pre_activations(self, x: Tensor) -> Tensor:
        """Return (x - b_dec) W_enc + b_enc: (N, *S) -> (N, latent_dim)."""
        return self._encoder.pre_activations(self.encoder[0](x))


class SparseEncoder(nn.Module):
    """The encoder and the sparse activation of a `SparseDictionary`."""

    threshold: Tensor

    def __init__(self, inputs: int, latent_dim: int, sparsity: Sparsity, k: int) -> None:
        super().__init__()
        self.sparsity = sparsity
        self.k = k
        # In memory the columns are contiguous: gradients of few active units are written by column.
        self.W_enc = nn.Parameter(torch.empty(latent_dim, inputs).T)
        self.b_enc = nn.Parameter(torch.zeros(latent_dim))
        self.b_dec = nn.Parameter(torch.zeros(inputs))
        threshold = torch.zeros(latent_dim)
        if sparsity in ("jumprelu", "gated"):
            self.threshold = nn.Parameter(threshold)
        else:
            self.register_buffer("threshold", threshold)

    def pre_activations(self, x: Tensor) -> Tensor:
        """Return (x - b_dec) W_enc + b_enc: (N, D) -> (N, latent_dim)."""
        return linear(x - self.b_dec, self.W_enc.T, self.b_enc)

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes: (N, D) -> (N, latent_dim)."""
        pre = self.pre_activations(x)
        if self.sparsity == "topk":
            values, units = pre.topk(self.k)
            return torch.zeros_like(pre).scatter(1, units, values.relu())
        if self.sparsity == "l1":
            return pre.relu()
        return torch.where(pre > self.threshold, pre, 0.0).relu()


class SparseDecoder(nn.Module):
    """The decoder of a `SparseDictionary`, with rows of norm 1 at first.

    The encoder of the dictionary is initialised to the transpose.
    """

    def __init__(self, encoder: SparseEncoder) -> None:
        super().__init__()
        # A tuple, so that torch does not register its parameters a second time.
        self.encoder = (encoder,)
        directions = torch.randn(encoder.W_enc.shape[::-1])
        self.W_dec = nn.Parameter(directions / directions.norm(dim=1, keepdim=True))
        with torch.no_grad():
            encoder.W_enc.copy_(self.W_dec.T)

    def forward(self, z: Tensor) -> Tensor:
        """Return z W_dec + b_dec: (N, latent_dim) -> (N, D)."""
        return decode(z, self.W_dec, self.encoder[0].b_dec)
