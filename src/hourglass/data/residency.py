"""Residency of a split's rows: on the device, in host memory, or in their mapped file."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import psutil
import torch
from torch import Tensor

from hourglass.core.settings import Residency
from hourglass.data.lazy_array import LazyArray
from hourglass.data.streaming import advise, copy_to_memory, prefetch, release_pages

# Rows gathered before pages are released; Linux may map two megabytes of the file per row.
ROWS_PER_RELEASE = 32
ROWS_PER_TRANSFORM = 1 << 16  # by `transform_once`


class Rows:
    """The rows of a split, (n, *S), as an iterable of batches.

    `transform` converts unscaled rows to network inputs: of each batch or, with residency "device"
    and `transform_once`, of all rows at the start. With residency "device", the rows are one tensor
    on the device. With "host" and "stream", a thread gathers each batch from host memory or
    from the mapped file while the device computes; a mapped file uses no memory except the system's
    page cache. Rows of a lazy array are computed instead of read. On the CPU, "host" means
    "device". The batches are the same in all cases.
    """

    def __init__(
        self,
        x: np.ndarray,
        residency: Residency,
        device: torch.device,
        transform: Callable[[Tensor], Tensor],
        transform_once: bool = False,
    ) -> None:
        on_gpu = device.type == "cuda"
        self.residency = "device" if residency == "host" and not on_gpu else residency
        self.device = device
        self.transform = transform
        is_lazy = isinstance(x, LazyArray)
        if residency != "stream" and (is_lazy or not x.flags.writeable):  # as a mapped file is
            x = copy_to_memory(x)
            is_lazy = False
        self.x: Tensor | np.ndarray = x if is_lazy else np.asarray(x)
        if self.residency == "device":
            self.x = torch.from_numpy(x)
            if transform_once:
                blocks = self.x.split(ROWS_PER_TRANSFORM)
                self.x = torch.cat([transform(block.to(device)) for block in blocks])
                self.transform = lambda inputs: inputs
            self.x = self.x.to(device)
        self.pinned = on_gpu  # copies of pinned batches overlap with computation

    def batches(self, order: Tensor | None, positions: Iterable[slice]) -> Iterator[Tensor]:
        """Yield one batch of network inputs, (m, *S), per slice of `order`, the indices of rows.

        If `order` is None, the slices select rows directly.
        """
        if not isinstance(self.x, Tensor):
            unscaled = self._stream(self.x, order, positions)
        elif order is None:
            unscaled = (self.x[part] for part in positions)
        else:
            rows = order.to(self.device)
            # Faster than indexing, which copies by element.
            unscaled = (self.x.index_select(0, rows[part]) for part in positions)
        yield from map(self.transform, unscaled)

    def _stream(
        self, x: np.ndarray, order: Tensor | None, positions: Iterable[slice]
    ) -> Iterator[Tensor]:
        rows = None if order is None else order.numpy()
        # In random order, reading ahead is useless: adjacent rows are not in the same batch.
        advise(x, "MADV_NORMAL" if rows is None else "MADV_RANDOM")
        for batch in prefetch(self._gather(x, rows, part) for part in positions):
            yield batch.to(self.device, non_blocking=True)

    def _gather(self, x: np.ndarray, rows: np.ndarray | None, part: slice) -> Tensor:
        count = part.stop - part.start
        dtype = torch.from_numpy(np.empty(0, x.dtype)).dtype
        batch = torch.empty((count, *x.shape[1:]), dtype=dtype, pin_memory=self.pinned)
        if rows is None:
            batch.numpy()[:] = x[part]
            release_pages(x)
            return batch
        # Read in file order; write each row to its place in the batch.
        for ascending in np.split(
            np.argsort(rows[part]), range(ROWS_PER_RELEASE, count, ROWS_PER_RELEASE)
        ):
            batch.numpy()[ascending] = x[rows[part][ascending]]
            release_pages(x)
        return batch


def batch_device(device: torch.device) -> torch.device:
    """Return the device on which batches for `device` are created.

    If `device` is neither CPU nor CUDA, it is the CPU, and the Trainer moves the batches.
    """
    return device if device.type == "cuda" else torch.device("cpu")


def choose_residency(
    nbytes: int, device: torch.device, processes: int = 1
) -> tuple[Residency, str]:
    """Return the residency of `nbytes` of samples; if it is not "device", also the reason.

    The first location that fits is chosen: half of the device's free memory; half of the host's
    free memory, for one copy per process; the file.
    """
    size, reason = f"{nbytes / 1e9:.3g} GB", ""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if nbytes < free / 2:
            return "device", ""
        reason = f"{size} is more than half of the free memory of the GPU"
    available = psutil.virtual_memory().available
    if nbytes * processes < available / 2:
        return ("host" if reason else "device"), reason
    total = f"{size} in {processes} processes" if processes > 1 else size
    return "stream", f"{total} is more than half of the {available / 1e9:.3g} GB available"
