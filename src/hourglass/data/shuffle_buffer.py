"""Shuffled reading of vectors that are larger than memory: blocks of files, and a buffer.

Rows in random order would be read one by one from the disk. Instead, blocks of consecutive rows are
read in random order into a buffer, whose rows are then taken in random order. While one buffer is
used, a thread fills the next.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hourglass.data.residency import Rows
from hourglass.data.streaming import prefetch, release_pages

BUFFER_ROWS, BUFFER_BYTES = 1 << 20, 192 << 20  # of a buffer, whichever is less; there are two
BLOCK_BYTES = 1 << 20  # long enough to be read at the speed of the disk
MAX_BYTES_IN_MEMORY = 512 << 20  # of vectors that are held in memory; more are streamed


@dataclass(frozen=True)
class BufferedOrder:
    """An order of rows: `blocks` random blocks of `block` consecutive rows at a time, shuffled.

    The order depends on the generator and on these numbers, not on where the rows are. Up to
    `block * blocks` rows it is a permutation of all.
    """

    block: int
    blocks: int

    @classmethod
    def of(cls, row_bytes: int) -> "BufferedOrder":
        """Return the order for rows of this size."""
        rows = max(1, min(BUFFER_ROWS, BUFFER_BYTES // row_bytes))
        block = max(1, min(rows, BLOCK_BYTES // row_bytes))
        return cls(block, rows // block)

    def buffers(self, count: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield the rows of each buffer in order; together they are the rows below `count`."""
        starts = torch.randperm(-(-count // self.block), generator=generator) * self.block
        for chosen in starts.split(self.blocks):
            rows = (chosen[:, None] + torch.arange(self.block)).flatten()
            rows = rows[rows < count]
            yield rows[torch.randperm(len(rows), generator=generator)]


def rank_rows(count: int, block: int, rank: int, world_size: int) -> np.ndarray:
    """Return the rows of a process: every `world_size`-th block, so that files are read once.

    The numbers of rows are those of `Shares`: the blocks of an incomplete round are divided row by
    row.
    """
    whole = count // (block * world_size) * block * world_size
    blocks = np.arange(whole).reshape(-1, world_size, block)[:, rank].ravel()
    return np.concatenate([blocks, np.arange(whole + rank, count, world_size)])


class BufferedRows(Rows):
    """The vectors of a split, (n, D), whose shuffled batches are read through a buffer."""

    def __init__(self, x: np.ndarray, *args: Any, **options: Any) -> None:
        self.order = BufferedOrder.of(x.nbytes // max(1, len(x)))
        self.dtype = torch.from_numpy(np.empty(0, x.dtype)).dtype
        super().__init__(x, *args, **options)

    def shuffled(self, generator: torch.Generator, positions: Iterable[slice]) -> Iterator[Tensor]:
        """Yield one batch of network inputs, (m, D), per slice of a random order of all rows.

        The order is that of `BufferedOrder`, for any residency.
        """
        x = self.x
        buffers = self.order.buffers(len(x), generator)
        if self.residency != "stream" or isinstance(x, Tensor):
            yield from self.batches(torch.cat(list(buffers)), positions)
            return
        filled = prefetch(self._fill(x, buffers), 1)
        for batch in self._cut(filled, positions):
            yield self.transform(batch.to(self.device, non_blocking=True))

    def _fill(self, x: np.ndarray, buffers: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the rows of each buffer, read in ascending order; two tensors take turns."""
        order = self.order
        shape = (min(len(x), order.block * order.blocks), *x.shape[1:])
        tensors = [torch.empty(shape, dtype=self.dtype) for _ in range(2)]
        for number, rows in enumerate(buffers):
            tensor = tensors[number % 2]
            places = np.argsort(rows.numpy())
            for start in range(0, len(places), order.block):
                part = places[start : start + order.block]
                tensor.numpy()[part] = x[rows.numpy()[part]]
                release_pages(x)
            yield tensor[: len(rows)]

    def _cut(self, filled: Iterator[Tensor], positions: Iterable[slice]) -> Iterator[Tensor]:
        """Yield consecutive rows of the buffers as batches, in memory of their own."""
        buffer, used = torch.empty(0), 0
        for part in positions:
            count, done = part.stop - part.start, 0
            batch = torch.empty(
                (count, *self.x.shape[1:]), dtype=self.dtype, pin_memory=self.pinned
            )
            while done < count:
                if used == len(buffer):
                    buffer, used = next(filled), 0
                piece = buffer[used : used + count - done]
                batch[done : done + len(piece)] = piece
                used, done = used + len(piece), done + len(piece)
            yield batch
