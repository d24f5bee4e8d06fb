"""Batches of windows of a series, without materialising the windows."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from hourglass.data.residency import ROWS_PER_TRANSFORM
from hourglass.data.windows import Windows


class WindowBatches:
    """The windows of a split, (n, F, W), as an iterable of batches, like `residency.Rows`.

    `x` are codes of rows, (N, C), and `transform` encodes them, (n, C) -> (n, F). In memory, the
    inputs of all steps are one tensor, (F, G), on the device, of which a window is a view; so
    memory is that of the series and a batch. With `stream`, the rows of each batch are read from
    the mapped file and encoded. `starts` selects the first steps of this process's windows.
    """

    def __init__(
        self,
        x: np.ndarray,
        windows: Windows,
        starts: np.ndarray,
        transform: Callable[[Tensor], Tensor],
        device: torch.device,
        stream: bool = False,
    ) -> None:
        self.x, self.windows, self.transform, self.device = x, windows, transform, device
        self.starts = torch.from_numpy(np.ascontiguousarray(starts))
        self.view: Tensor | None = None  # (G - W + 1, F, W): all windows, also those over two runs
        if stream:
            return
        self.starts = self.starts.to(device)
        blocks = [
            transform(torch.from_numpy(x[rows]).to(device)).T
            for rows in np.array_split(
                windows.row_of_step, -(-len(windows.row_of_step) // ROWS_PER_TRANSFORM)
            )
        ]
        self.view = window_view(torch.cat(blocks, 1).contiguous(), windows.window)

    def __len__(self) -> int:
        """Return the number of windows of this process."""
        return len(self.starts)

    def batches(self, order: Tensor | None, positions: Iterable[slice]) -> Iterator[Tensor]:
        """Yield one batch, (m, F, W), per slice of `order`, the indices of windows.

        If `order` is None, the slices select windows directly.
        """
        starts = self.starts if order is None else self.starts[order.to(self.starts.device)]
        for part in positions:
            if self.view is not None:
                # As fast as from materialised windows; indexing would copy by element.
                yield self.view.index_select(0, starts[part])
            else:
                yield self._read(starts[part])

    def _read(self, starts: Tensor) -> Tensor:
        rows = self.windows.rows_at(starts.numpy())
        codes = torch.from_numpy(self.x[rows.ravel()]).to(self.device)
        return self.transform(codes).unflatten(0, rows.shape).transpose(1, 2)


def window_view(series: Tensor, window: int) -> Tensor:
    """Return all windows of a contiguous series as a view: (F, G) -> (G - W + 1, F, W)."""
    inputs, steps = series.shape
    return series.as_strided((steps - window + 1, inputs, window), (1, steps, 1))
