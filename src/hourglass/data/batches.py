"""Batches of an epoch: order, division among distributed processes, and scaling."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from hourglass.data.residency import Rows
from hourglass.data.scaling import Encoding, Scaling
from hourglass.data.shuffle_buffer import BufferedRows
from hourglass.data.table_encoding import TableEncoding
from hourglass.data.tile_batches import TileBatches
from hourglass.data.window_batches import WindowBatches

Inputs: TypeAlias = Rows | WindowBatches | TileBatches  # of networks, of one split

# Odd, so that the seeds of any two ranks differ in the 32 bits that torch's generator uses.
RANK_SEED_STRIDE = 0x9E3779B1


class Scaled:
    """Apply the scaling of images or the encoding of a table to tensors on one device.

    `limit` bounds the inputs of a table: in training, so that no cell decides the loss.
    """

    def __init__(self, scaling: Encoding, device: torch.device, limit: float | None = None) -> None:
        self.limit = limit
        self.encoding = scaling if isinstance(scaling, TableEncoding) else None
        if isinstance(scaling, Scaling):
            self.offset = torch.from_numpy(np.asarray(scaling.offset)).to(device)
            self.scale = torch.from_numpy(np.asarray(scaling.scale)).to(device)
            self.has_offset = bool(scaling.offset.any())

    def __call__(self, x: Tensor) -> Tensor:
        """Return network inputs: (N, *S) -> (N, *S) float32, or (N, C) -> (N, F) of a table."""
        if self.encoding:
            encoded: Tensor = self.encoding(x)
            return encoded if self.limit is None else encoded.clamp(-self.limit, self.limit)
        shifted = (x - self.offset) if self.has_offset else x.to(self.scale.dtype, copy=True)
        return shifted.div_(self.scale)


@dataclass(frozen=True)
class Shares:
    """Division of the batches of an epoch of `samples` samples among distributed processes.

    Rank r holds only the rows r::world_size and shuffles them independently. Position p of the
    epoch is position p // world_size of rank p % world_size. Therefore the ranks' shares of a batch
    differ by at most one sample, all ranks take the same number of steps, and each sample is used
    exactly once. In a file sorted by class or time, contiguous blocks would differ in distribution.
    """

    samples: int
    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        """Return the number of batches, equal on all ranks."""
        return -(-self.samples // self.batch_size)

    def __iter__(self) -> Iterator[slice]:
        """Yield this rank's positions in each batch; a share may be empty."""
        return (self._positions(batch) for batch in range(len(self)))

    def weight(self, batch: int) -> float:
        """Return this rank's number of samples in a batch, divided by the mean over the ranks.

        With this weight of the loss, DDP's mean over ranks is the mean over the batch's samples.
        """
        positions, start = self._positions(batch), batch * self.batch_size
        size = min(self.batch_size, self.samples - start)
        return (positions.stop - positions.start) * self.world_size / size

    def generator(self, seed: int) -> torch.Generator:
        """Return the generator of this rank's order, which depends on seed and rank only."""
        return torch.Generator().manual_seed(seed + self.rank * RANK_SEED_STRIDE)

    def order(self, seed: int) -> Tensor:
        """Return a permutation of this rank's rows that depends on seed and rank only."""
        count = self._count_before(self.samples)
        return torch.randperm(count, generator=self.generator(seed))

    def _positions(self, batch: int) -> slice:
        start = batch * self.batch_size
        return slice(self._count_before(start), self._count_before(start + self.batch_size))

    def _count_before(self, position: int) -> int:
        """Return the number of this rank's samples before a position of the epoch."""
        return -(-(min(position, self.samples) - self.rank) // self.world_size)


class Batches:
    """Iterable of this process's share of each batch, as network inputs.

    `rows` are the rows of this rank. `shuffle` returns the seed of the epoch's order; without it
    the rows keep their order.
    """

    def __init__(
        self,
        rows: Inputs,
        shares: Shares,
        shuffle: Callable[[], int] | None = None,
    ) -> None:
        self.rows = rows
        self.shares = shares
        self.shuffle = shuffle

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.shares)

    @property
    def samples(self) -> int:
        """The number of samples of an epoch, over all processes."""
        return self.shares.samples

    def __iter__(self) -> Iterator[Tensor]:
        """Yield batches, (n, *S) float32."""
        # A generator computes the order at the first batch: when Lightning resumes a training, it
        # creates the iterator before it restores the epoch, on which the order depends.
        if self.shuffle and isinstance(self.rows, BufferedRows):
            generator = self.shares.generator(self.shuffle())
            yield from self.rows.shuffled(generator, self.shares)
            return
        order = self.shares.order(self.shuffle()) if self.shuffle else None
        yield from self.rows.batches(order, self.shares)
