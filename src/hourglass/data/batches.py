"""The batches of an epoch: their order, each process's share of them, and their scaling."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hourglass.data.scaling import Scaling
from hourglass.data.streaming import Rows

# Odd, so that any two ranks differ in the 32 bits that torch's generator takes of a seed.
RANK_STRIDE = 0x9E3779B1


class Scaled:
    """Scale samples on a device, as a `Scaling` does arrays."""

    def __init__(self, scaling: Scaling, device: torch.device) -> None:
        self.offset = torch.from_numpy(np.asarray(scaling.offset)).to(device)
        self.scale = torch.from_numpy(np.asarray(scaling.scale)).to(device)
        self.shifted = bool(scaling.offset.any())

    def __call__(self, x: Tensor) -> Tensor:
        """Return samples in the units of the network: (N, *S) -> (N, *S) float32."""
        moved = (x - self.offset) if self.shifted else x.to(self.scale.dtype, copy=True)
        return moved.div_(self.scale)


@dataclass(frozen=True)
class Shares:
    """Share the batches of an epoch of `samples` out among `world_size` processes.

    Rank r holds the rows r::world_size and no others, in an order of its own; position p of the
    epoch is position p // world_size of rank p % world_size. So each batch has its share from every
    rank, equal but for one sample, all take the same number of steps, and no sample is lost or
    repeated, whatever the numbers. Blocks of rows would divide as evenly, but a file that is sorted
    by class or time would give each rank a population of its own, and rows in order would not stay
    so.
    """

    samples: int
    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        """Return the number of batches, the same on every rank."""
        return -(-self.samples // self.batch_size)

    def __iter__(self) -> Iterator[slice]:
        """Yield this rank's positions in each batch; a share may be empty."""
        for batch in range(len(self)):
            yield self.place(batch)

    def place(self, batch: int) -> slice:
        """Return this rank's positions in a batch."""
        start = batch * self.batch_size
        return slice(self._before(start), self._before(start + self.batch_size))

    def weight(self, batch: int) -> float:
        """Return this rank's share of a batch, as a multiple of an even one."""
        place, start = self.place(batch), batch * self.batch_size
        whole = min(self.batch_size, self.samples - start)
        return (place.stop - place.start) * self.world_size / whole

    def order(self, seed: int) -> Tensor:
        """Return this rank's rows, 0 to its last, in an order that seed and rank decide."""
        generator = torch.Generator().manual_seed(seed + self.rank * RANK_STRIDE)
        return torch.randperm(self._before(self.samples), generator=generator)

    def _before(self, position: int) -> int:
        """Return how many of this rank's samples come before a position of the epoch."""
        return -(-(min(position, self.samples) - self.rank) // self.world_size)


class Batches:
    """Iterate over this process's share of each batch, scaled on the device of the rows.

    `rows` are those that `shares` names, `shuffle` returns the seed of this epoch's order; without
    it rows stay in theirs. The order is a function of seed and rank alone.
    """

    def __init__(
        self,
        rows: Rows,
        scaled: Callable[[Tensor], Tensor],
        shares: Shares,
        shuffle: Callable[[], int] | None = None,
    ) -> None:
        self.rows = rows
        self.scaled = scaled
        self.shares = shares
        self.shuffle = shuffle

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.shares)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield batches, (n, *S) float32."""
        order = self.shares.order(self.shuffle()) if self.shuffle else None
        for batch in self.rows.take(order, self.shares):
            yield self.scaled(batch)
