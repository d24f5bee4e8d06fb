"""Values of the rows of a series: those of all windows that cover a row, combined.

An extractor gives values per step of a window, (n, W, K), or per window, (n, K), which count for
each of its steps. Every row has a value, those at the ends of a run included, as the windows of a
run cover all of its rows.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from hourglass.core.progress_bar import ProgressBar
from hourglass.data.batches import Scaled
from hourglass.data.large_arrays import new_array, take_rows
from hourglass.data.series_encoding import Combine, RowScore, SeriesEncoding
from hourglass.data.streaming import release_pages
from hourglass.data.window_batches import window_view
from hourglass.data.windows import Windows
from hourglass.detection.inference import (
    Extractor,
    batch_size,
    best_device,
    map_in_order,
    min_rows,
    parallelism,
)
from hourglass.detection.scorers.base import per_sample
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks import Network

MAX_BLOCK_ELEMENTS = 1 << 22  # of the windows in a block
MIN_SHOWN_STEPS = 100_000  # whose progress is shown
STRETCHES = 10  # of a long series, to fit a scorer to
# A function from the features of windows, (n, K), to their scores, (n,).
Result = TypeVar("Result")
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

    All extractors share one forward pass per window, and the windows of a row are averaged. With
    `window_score`, the first extractor gives the features of a score. They become scores, (T, 1)
    float64, unless they are per step; and its windows are combined as `encoding` says.
    """
    windows = encoding.windows(x)
    steps = len(windows.row_of_step)

    def combined(block: Block, features: list[Tensor]) -> list[np.ndarray]:
        found = []
        for i, values in enumerate(features):
            how: Combine = "mean"
            if not i and window_score is not None:
                values = score_features(values, encoding.row_score, window_score)
                how = encoding.combine
            found.append(combine_windows(values, block, windows.window, how).cpu().numpy())
        return found

    results: list[np.ndarray] = []
    bar = ProgressBar(
        total=steps, desc="score", unit=" rows", leave=False, show=steps > MIN_SHOWN_STEPS
    )
    with bar:
        for block, found in _map_blocks(network, x, encoding, windows, extractors, combined):
            results = results or [new_array((steps, v.shape[1]), v.dtype) for v in found]
            for result, values in zip(results, found, strict=True):
                result[block.start : block.stop] = values
                release_pages(result)
            bar.update(block.stop - block.start)
    return [take_rows(result, windows.step_of_row) for result in results]


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

    def reduced(block: Block, features: list[Tensor]) -> np.ndarray:
        values = _reduced(features[0], encoding.row_score)
        if values.ndim == 3:
            values = combine_windows(values, block, windows.window, encoding.combine)
        return values.cpu().numpy()

    blocks = _map_blocks(network, x, encoding, windows, (extract,), reduced)
    return np.concatenate([values for _, values in blocks])


def _reduced(features: Tensor, row_score: RowScore) -> Tensor:
    """Return features per step, (n, W, K), as those of windows, (n, K), if windows are scored."""
    return features if row_score == "step" else per_sample(features)


def score_features(features: Tensor, row_score: RowScore, window_score: WindowScore) -> Tensor:
    """Return the scores of windows, (n,) float64, or features per step as they are."""
    features = _reduced(features, row_score)
    if features.ndim == 3:
        return features
    return torch.from_numpy(np.asarray(window_score(features.cpu().numpy().astype(np.float64))))


def combine_windows(values: Tensor, block: Block, window: int, how: Combine = "mean") -> Tensor:
    """Return the mean, maximum or median over the windows that cover each step, (steps, K).

    `values` are per step of the block's windows, (n, W, K), or per window, (n, K) or (n,).
    """
    if values.ndim < 3:
        values = values.reshape(len(values), 1, -1).expand(-1, window, -1)
    width, shift = values.shape[2], block.start - int(block.starts[0])
    starts = torch.from_numpy(block.starts - block.starts[0]).to(values.device)
    steps = int(starts[-1]) + window
    # Row s + W - 1 holds the window at s, so rows g to g + W - 1 hold the windows that cover step
    # g, each at one offset less than the row before. A view along this diagonal collects them.
    empty = {"mean": 0.0, "max": -math.inf, "median": math.nan}[how]
    placed = values.new_full((steps + window - 1, window, width), empty)
    placed[starts + window - 1] = values
    row = window * width
    diagonal = placed.as_strided(
        (block.stop - block.start, window, width),
        (row, row - width, 1),
        shift * row + row - width,
    )
    if how == "max":
        return diagonal.amax(1)
    if how == "median":
        return diagonal.nanmedian(1).values
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
    finish: Callable[[Block, list[Tensor]], Result],
) -> Iterator[tuple[Block, Result]]:
    """Yield the blocks of a series, and a function's result for each.

    The function gets the block and each extractor's values of its windows.
    """
    device = best_device()
    network.to(device)
    encode, blocks = Scaled(encoding, device), list(split_blocks(windows, encoding.width))
    widest = network.widest if device.type == "cpu" else 0
    workers, _ = parallelism(network, device, overlap=len(blocks) > 1)

    def compute(block: Block) -> Result:
        first, stop = int(block.starts[0]), int(block.starts[-1]) + windows.window
        codes = np.ascontiguousarray(x[windows.row_of_step[first:stop]])
        with torch.inference_mode():
            series = encode(torch.from_numpy(codes).to(device)).T.contiguous()
            view = window_view(series, windows.window)
            starts = torch.from_numpy(block.starts - first).to(device)
            parts: list[list[Tensor]] = [[] for _ in extractors]
            for chosen in starts.split(batch_size(view, widest)):
                batch = view.index_select(0, chosen)
                forward = ForwardCache(network, batch, min_rows(network))
                for values, extract in zip(parts, extractors, strict=True):
                    values.append(extract(forward))
            return finish(block, [torch.cat(values) for values in parts])

    yield from zip(blocks, map_in_order(compute, blocks, workers), strict=True)


def split_blocks(windows: Windows, inputs: int) -> Iterator[Block]:
    """Yield blocks that cover all steps; the elements of their windows are limited."""
    window = windows.window
    size = max(MAX_BLOCK_ELEMENTS // (window * inputs), 4 * window)
    for first, last in windows.runs:
        starts = windows.starts_in(first, last)
        for start in range(first, last, size):
            stop = min(start + size, last)
            covering = slice(*np.searchsorted(starts, [start - window + 1, stop]))
            yield Block(start, stop, starts[covering])
