"""Quantisers of latent codes: the nearest of a finite number of values, with gradients.

A quantiser maps codes, (N, latent_dim), to one of `size` values at each of `positions` positions.
The values are numbered from 0: indices, (N, positions).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.networks.base import require_at_least
from hourglass.networks.processes import of_first_process, over_processes, process_count


class Quantiser(nn.Module):
    """Base class: the nearest value forwards, the identity backwards (van den Oord et al. 2017)."""

    positions: int
    size: int  # number of values at a position

    def bound(self, z: Tensor) -> Tensor:
        """Map codes into the range of the values: (N, latent_dim) -> (N, latent_dim)."""
        return z

    def indices(self, bounded: Tensor) -> Tensor:
        """Return the indices of the nearest values: (N, latent_dim) -> (N, positions) int64."""
        raise NotImplementedError

    def values(self, indices: Tensor) -> Tensor:
        """Return the values of indices: (N, positions) -> (N, latent_dim)."""
        raise NotImplementedError

    def forward(self, z: Tensor) -> Tensor:
        """Return the nearest values, whose gradient is that of the bounded codes."""
        bounded = self.bound(z)
        return bounded + (self.values(self.indices(bounded)) - bounded).detach()


class FiniteScalar(Quantiser):
    """Each unit of a code takes one of `levels` values (Mentzer et al. 2024, FSQ).

    The range of tanh(z), -1 to 1, is divided into cells of equal width, each decoded to its centre.
    Unlike in the paper, even numbers of levels are symmetric about 0 without a shift.
    """

    def __init__(self, latent_dim: int, levels: int) -> None:
        super().__init__()
        require_at_least(2, levels=levels)
        self.positions, self.size = latent_dim, levels

    def bound(self, z: Tensor) -> Tensor:
        """Return tanh(z)."""
        return z.tanh()

    def indices(self, bounded: Tensor) -> Tensor:
        """Return the numbers of the cells."""
        cells = ((bounded + 1) * (self.size / 2)).floor()
        return cells.clamp(0, self.size - 1).long()

    def values(self, indices: Tensor) -> Tensor:
        """Return the centres of cells."""
        return (2 * indices + 1) / self.size - 1


class VectorQuantiser(Quantiser):
    """Each part of a code, of `code_size` units, takes a vector of a codebook of its position.

    The codebooks are no parameters: the training moves them, see `CodebookAverages`.
    """

    codebooks: Tensor  # (positions, size, code_size)

    def __init__(self, latent_dim: int, size: int, code_size: int) -> None:
        super().__init__()
        require_at_least(2, codebook=size)
        require_at_least(1, code_size=code_size)
        if latent_dim % code_size:
            raise UserError(
                f"code_size is {code_size}, but must divide latent_dim, which is {latent_dim}."
            )
        self.positions, self.size = latent_dim // code_size, size
        self.register_buffer("codebooks", torch.randn(self.positions, size, code_size))

    def parts(self, z: Tensor) -> Tensor:
        """Return the parts of codes: (N, latent_dim) -> (N, positions, code_size)."""
        return z.unflatten(1, (self.positions, -1))

    def indices(self, bounded: Tensor) -> Tensor:
        """Return the indices of the nearest vectors by Euclidean distance."""
        parts = self.parts(bounded).transpose(0, 1)
        products = parts @ self.codebooks.transpose(1, 2)  # (positions, N, size)
        distances = self.codebooks.square().sum(2)[:, None] - 2 * products
        return distances.argmin(2).T

    def values(self, indices: Tensor) -> Tensor:
        """Return the vectors of indices, joined."""
        places = torch.arange(self.positions, device=indices.device)
        return self.codebooks[places, indices].flatten(1)


class CodebookAverages(nn.Module):
    """Move codebooks to the moving averages of the codes assigned to each vector.

    With a `decay` of 0.99 a step moves them by 1 % (van den Oord et al. 2017, appendix A.1). A
    vector that gets fewer than DEAD_SHARE of its share of the codes is dead: it starts again at a
    random code of the batch. All processes of a training hold the same codebooks.
    """

    DEAD_SHARE = 0.05

    counts: Tensor  # (positions, size)
    sums: Tensor  # (positions, size, code_size)

    def __init__(self, quantiser: VectorQuantiser, decay: float) -> None:
        super().__init__()
        self.decay = decay
        codebooks = quantiser.codebooks
        self.register_buffer("counts", torch.ones(codebooks.shape[:2]))
        self.register_buffer("sums", codebooks.clone())

    @torch.no_grad()
    def update(self, quantiser: VectorQuantiser, z: Tensor) -> None:
        """Move the codebooks of a quantiser by the codes of a batch, (N, latent_dim)."""
        z = z.to(self.sums.dtype)  # in mixed precision, codes have less
        parts = quantiser.parts(z)
        chosen = functional.one_hot(quantiser.indices(z), quantiser.size).to(z.dtype)
        counts = over_processes(chosen.sum(0))
        with torch.autocast(z.device.type, enabled=False):
            sums = over_processes(torch.einsum("npk,npc->pkc", chosen, parts))
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        mean = self.counts.mean(1, keepdim=True)
        dead = self.counts < self.DEAD_SHARE * mean
        draws = torch.randint(len(z), self.counts.shape, device=z.device)
        places = torch.arange(quantiser.positions, device=z.device)[:, None]
        restarts = of_first_process(parts[draws, places])
        self.counts.copy_(torch.where(dead, mean, self.counts))
        self.sums.copy_(torch.where(dead[..., None], mean[..., None] * restarts, self.sums))
        quantiser.codebooks.copy_(self.sums / self.counts[..., None])


class CodeNorm(nn.BatchNorm1d):
    """Batch normalisation of the units of a code, so that codes use all values from the start.

    Without it, all codes of an untrained network take the same value, and the decoder learns the
    mean sample. A batch of one sample is normalised by the running statistics.
    """

    def forward(self, z: Tensor) -> Tensor:
        """Return normalised codes: (N, latent_dim) -> (N, latent_dim)."""
        if self.training and len(z) == 1:
            statistics = self.running_mean, self.running_var
            return functional.batch_norm(z, *statistics, self.weight, self.bias, eps=self.eps)
        normalised = super().forward(z)
        if self.training and process_count() > 1:  # replace running statistics by their means
            for statistic in (self.running_mean, self.running_var):
                assert statistic is not None
                # `data`: autograd has saved the statistics, but does not use them in training.
                statistic.data.copy_(over_processes(statistic) / process_count())
        return normalised
