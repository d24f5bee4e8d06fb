"""Values of the rows of a series: those of all windows that cover a row, averaged.

An extractor gives values per step of a window, (n, W, K), or per window, (n, K), which count for
each of its steps. Every row has a value, those at the ends of a run included, as the windows of a
run cover all of its rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hourglass.data.batches import Scaled
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.windows import Windows
from hourglass.detection.inference import (
    Extractor,
    batch_size,
    best_device,
    map_in_order,
    min_rows,
    parallelism,
)
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks import Network

MAX_BLOCK_ELEMENTS = 1 << 22  # of the windows in a block
STRETCHES = 10  # of a long series, to fit a scorer to
# A function from the features of windows, (n, K), to their scores, (n,).
WindowScore = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Block:
    """Consecutive steps of one run, and the windows that cover them."""

    start: int  # the first step
    stop: int
    starts: np.ndarray  # (n,) the first steps of the windows, ascending


def map_rows(
    network: Network,
    x: np.ndarray,
    encoding: SeriesEncoding,
    *extractors: Extractor,
    window_score: WindowScore | None = None,
) -> list[np.ndarray]:
    """Return each extractor's values of all rows, (T, K), from codes, (T, R + C).

    All extractors share one forward pass per window. `window_score` replaces the values of the
    first extractor by scores, (T, 1), if they are per window.
    """
    windows = encoding.windows(x)
    results: list[np.ndarray] = []
    for block, features in _map_blocks(network, x, encoding, windows, extractors):
        for i, values in enumerate(features):
            if not i and window_score is not None and values.ndim < 3:
                scores = window_score(values.cpu().numpy().astype(np.float64))
                values = torch.from_numpy(np.asarray(scores))
            found = mean_over_windows(values, block, windows.window).cpu().numpy()
            if len(results) == i:
                results.append(np.zeros((len(windows.row_of_step), found.shape[1]), found.dtype))
            results[i][block.start : block.stop] = found
    return [result[windows.step_of_row] for result in results]


def fit_features(
    network: Network, x: np.ndarray, encoding: SeriesEncoding, extract: Extractor, most: int
) -> np.ndarray:
    """Return features of normal rows or, if they are per window, of windows, (n, K).

    They are of at most about `most` rows, in evenly spaced stretches.
    """
    windows = encoding.windows(x)
    steps = len(windows.row_of_step)
    if steps > most:
        length = max(most // STRETCHES, 2 * windows.window)
        firsts = np.linspace(0, steps - length, STRETCHES).astype(int)
        x = x[windows.row_of_step[np.unique(firsts[:, None] + np.arange(length))]]
        windows = encoding.windows(x)
    parts = []
    for block, (values,) in _map_blocks(network, x, encoding, windows, (extract,)):
        if values.ndim == 3:
            values = mean_over_windows(values, block, windows.window)
        parts.append(values.cpu().numpy())
    return np.concatenate(parts)


def mean_over_windows(values: Tensor, block: Block, window: int) -> Tensor:
    """Return the mean of the windows that cover each step of a block, (steps, K).

    `values` are per step of the block's windows, (n, W, K), or per window, (n, K) or (n,).
    """
    if values.ndim < 3:
        values = values.reshape(len(values), 1, -1).expand(-1, window, -1)
    width, shift = values.shape[2], block.start - int(block.starts[0])
    starts = torch.from_numpy(block.starts - block.starts[0]).to(values.device)
    steps = int(starts[-1]) + window
    # Row s + W - 1 holds the window at s, so rows g to g + W - 1 hold the windows that cover step
    # g, each at one offset less than the row before. A view along this diagonal collects them.
    placed = values.new_zeros(steps + window - 1, window, width)
    placed[starts + window - 1] = values
    row = window * width
    diagonal = placed.as_strided(
        (block.stop - block.start, window, width),
        (row, row - width, 1),
        shift * row + row - width,
    )
    count = torch.zeros(steps + 1, dtype=values.dtype, device=values.device)
    ones = torch.ones_like(starts, dtype=values.dtype)
    count = count.index_add_(0, starts, ones).index_add_(0, starts + window, -ones).cumsum(0)
    return diagonal.sum(1) / count[shift : shift + len(diagonal), None]


def _map_blocks(
    network: Network,
    x: np.ndarray,
    encoding: SeriesEncoding,
    windows: Windows,
    extractors: tuple[Extractor, ...],
) -> Iterator[tuple[Block, list[Tensor]]]:
    """Yield the blocks of a series, and each extractor's values of the windows of each."""
    device = best_device()
    network.to(device)
    encode, blocks = Scaled(encoding, device), list(_blocks(windows, encoding.width))
    widest = network.widest if device.type == "cpu" else 0
    workers, _ = parallelism(network, device, overlap=len(blocks) > 1)

    def compute(block: Block) -> list[Tensor]:
        first, stop = int(block.starts[0]), int(block.starts[-1]) + windows.window
        codes = np.ascontiguousarray(x[windows.row_of_step[first:stop]])
        with torch.inference_mode():
            series = encode(torch.from_numpy(codes).to(device)).T.contiguous()
            inputs, steps = series.shape
            shape = (steps - windows.window + 1, inputs, windows.window)
            view = series.as_strided(shape, (1, steps, 1))  # all windows
            starts = torch.from_numpy(block.starts - first).to(device)
            parts: list[list[Tensor]] = [[] for _ in extractors]
            for chosen in starts.split(batch_size(view, widest)):
                batch = view.index_select(0, chosen)
                forward = ForwardCache(network, batch, min_rows(network))
                for values, extract in zip(parts, extractors, strict=True):
                    values.append(extract(forward))
            return [torch.cat(values) for values in parts]

    yield from zip(blocks, map_in_order(compute, blocks, workers), strict=True)


def _blocks(windows: Windows, inputs: int) -> Iterator[Block]:
    """Yield blocks that cover all steps; the elements of their windows are limited."""
    window = windows.window
    size = max(MAX_BLOCK_ELEMENTS // (window * inputs), 4 * window)
    for first, last in windows.runs:
        starts = windows.starts_in(first, last)
        for start in range(first, last, size):
            stop = min(start + size, last)
            yield Block(start, stop, starts[(starts > start - window) & (starts < stop)])
