"""Residency of a split's rows: on the device, in host memory, or in their mapped file."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import psutil
import torch
from torch import Tensor

from hourglass.core.settings import Residency
from hourglass.data.streaming import advise, copy_to_memory, prefetch, release_pages

# Rows gathered before pages are released: for each, Linux may map two megabytes of the file.
ROWS_PER_RELEASE = 32


class Rows:
    """Rows of a split, (n, *S), that can be taken in batches.

    `transform` makes network inputs of unscaled rows. Rows of residency "device" are one tensor
    there; those of "host" and "stream" are gathered by a thread while the device computes, from
    memory or from the mapped file, of which only the cache of the system stays in memory. On the
    CPU "host" is "device". The batches are the same in all cases.
    """

    def __init__(
        self,
        x: np.ndarray,
        residency: Residency,
        device: torch.device,
        transform: Callable[[Tensor], Tensor],
    ) -> None:
        on_gpu = device.type == "cuda"
        self.residency = "device" if residency == "host" and not on_gpu else residency
        self.device = device
        self.transform = transform
        if residency != "stream" and not x.flags.writeable:  # as prepared files are mapped
            x = copy_to_memory(x)
        self.x: Tensor | np.ndarray = np.asarray(x)
        if self.residency == "device":
            self.x = torch.from_numpy(x).to(device)
        self.pinned = on_gpu  # copies of pinned batches overlap with computation

    def batches(self, order: Tensor | None, positions: Iterable[slice]) -> Iterator[Tensor]:
        """Yield the network inputs at each of the positions in `order`, (m, *S).

        Without an order the rows keep theirs.
        """
        if isinstance(self.x, Tensor):
            unscaled = _index(self.x, order, positions)
        else:
            unscaled = self._stream(self.x, order, positions)
        yield from map(self.transform, unscaled)

    def _stream(
        self, x: np.ndarray, order: Tensor | None, positions: Iterable[slice]
    ) -> Iterator[Tensor]:
        rows = None if order is None else order.numpy()
        # In random order the neighbours of a row are not in the same batch: do not read ahead.
        advise(x, "MADV_NORMAL" if rows is None else "MADV_RANDOM")
        for batch in prefetch(lambda place: self._gather(x, rows, place), positions):
            yield batch.to(self.device, non_blocking=True)

    def _gather(self, x: np.ndarray, rows: np.ndarray | None, place: slice) -> Tensor:
        count = place.stop - place.start
        dtype = torch.from_numpy(np.empty(0, x.dtype)).dtype
        batch = torch.empty((count, *x.shape[1:]), dtype=dtype, pin_memory=self.pinned)
        if rows is None:
            batch.numpy()[:] = x[place]
            release_pages(x)
            return batch
        # In the order of the file, each row to its place in the batch.
        for ascending in np.split(
            np.argsort(rows[place]), range(ROWS_PER_RELEASE, count, ROWS_PER_RELEASE)
        ):
            batch.numpy()[ascending] = x[rows[place][ascending]]
            release_pages(x)
        return batch


def _index(x: Tensor, order: Tensor | None, positions: Iterable[slice]) -> Iterator[Tensor]:
    if order is None:
        yield from (x[place] for place in positions)
        return
    order = order.to(x.device)
    for place in positions:
        yield x.index_select(0, order[place])  # copies rows, while x[...] copies elements


def batch_device(device: torch.device) -> torch.device:
    """Return the device on which batches for `device` are made.

    For a device that is neither CPU nor CUDA it is the CPU, and the Trainer moves the batches.
    """
    return device if device.type == "cuda" else torch.device("cpu")


def choose_residency(
    nbytes: int, device: torch.device, processes: int = 1
) -> tuple[Residency, str]:
    """Return the residency of `nbytes`, and the reason as a clause if it is not "device".

    The device is chosen if half of its free memory suffices, else the host's memory, of which each
    of `processes` takes as much, else the file.
    """
    size, reason = f"{nbytes / 1e9:.3g} GB", ""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if nbytes < free / 2:
            return "device", ""
        reason = f"{size} are more than half of the free memory of the GPU"
    available = psutil.virtual_memory().available
    if nbytes * processes < available / 2:
        return ("host" if reason else "device"), reason
    total = f"{size} in {processes} processes" if processes > 1 else size
    return "stream", f"{total} are more than half of the {available / 1e9:.3g} GB available"
