"""Baseline detectors of windows of time series: PCA, neighbours, isolation forest, linear forecast.

Each function fits encoded windows, (n, W, F): W rows of F inputs. It returns a function from
windows to scores, (m, W, F) -> (m,). The windows that cover a row are combined as for a detector.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.decomposition import PCA

from hourglass.core.errors import UserError
from hourglass.data.scaling import filled_inputs
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.series_scoring import combine_windows, split_blocks
from hourglass.evaluation import baselines
from hourglass.evaluation.baselines import ScoreFunction

VARIANCE = 0.8  # share of the windows' variance that Sub-PCA keeps
LAGS = 32  # rows from which the linear forecast predicts the next one
RIDGE = 0.1  # penalty of the linear forecast per window
MAX_TRAIN_BYTES = 256 << 20  # of windows that a baseline is fitted to
MIN_SCALE_FRACTION = 1e-3  # lower bound of a channel's error scale, as a fraction of its sd


def sub_pca(train: np.ndarray, seed: int) -> ScoreFunction:
    """Score by the mean squared error of the reconstruction from the first components.

    They are as many as VARIANCE of the windows' variance takes. TSB-AD's Sub-PCA instead adds the
    distances from all components, divided by their variance, which is close to the distance from
    the mean.
    """
    flat = train.reshape(len(train), -1)
    solver = "covariance_eigh" if flat.shape[0] >= flat.shape[1] else "full"
    variances = PCA(svd_solver=solver, random_state=seed).fit(flat).explained_variance_ratio_
    kept = int(np.searchsorted(variances.cumsum(), VARIANCE)) + 1
    return flattened(baselines.pca(flat, min(kept, *flat.shape)))


def neighbors(train: np.ndarray, seed: int) -> ScoreFunction:
    """Score by the mean distance to the 5 nearest training windows."""
    return flattened(baselines.neighbors(train.reshape(len(train), -1), seed))


def isolation_forest(train: np.ndarray, seed: int) -> ScoreFunction:
    """Score by the number of random splits that isolate a window."""
    return flattened(baselines.isolation_forest(train.reshape(len(train), -1), seed))


def autoregression(train: np.ndarray, seed: int) -> ScoreFunction:
    """Score by the mean squared error of linear one-step forecasts within the window.

    Ridge regression predicts all channels of a row from the LAGS rows before it, or from half of
    the window if that is shorter. Errors are divided by their root mean square on training windows,
    per channel. Raises a UserError for windows of a single row.
    """
    length = train.shape[1]
    if length < 2:
        raise UserError(f"a window has {length} row, but a forecast needs at least 2.")
    lags = max(1, min(LAGS, length // 2))
    x, y = _steps(train, lags, length - 1)  # consecutive windows: each row is the last of one
    x_mean, y_mean = x.mean(0), y.mean(0)
    gram = (x - x_mean).T @ (x - x_mean) + RIDGE * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, (x - x_mean).T @ (y - y_mean))

    def errors(windows: np.ndarray, step: int) -> np.ndarray:
        before, target = _steps(windows, lags, step)
        return np.square(target - y_mean - (before - x_mean) @ weights)

    tiny = np.finfo(np.float32).tiny
    scale = np.maximum(errors(train, length - 1).mean(0), (MIN_SCALE_FRACTION * y.std(0)) ** 2)
    scale = np.maximum(scale, tiny)

    def score(windows: np.ndarray) -> np.ndarray:
        steps = range(lags, length)
        total = sum((errors(windows, step) / scale).mean(1) for step in steps)
        return np.asarray(total / len(steps))

    return score


WINDOW_BASELINES: dict[str, Callable[[np.ndarray, int], ScoreFunction]] = {
    fit.__name__: fit for fit in (sub_pca, neighbors, isolation_forest, autoregression)
}


def train_windows(encoding: SeriesEncoding, x: np.ndarray) -> np.ndarray:
    """Return encoded windows over rows, (T, R + C), as (n, W, F); n is limited by MAX_TRAIN_BYTES.

    If there are more, they are evenly spaced.
    """
    windows = encoding.windows(x)
    limit = max(1, MAX_TRAIN_BYTES // (4 * windows.window * encoding.width))
    starts = windows.starts[:: -(-len(windows.starts) // limit)]
    rows = windows.rows_at(starts)
    return filled_inputs(encoding, x[rows.ravel()]).reshape(*rows.shape, -1)


def score_rows(score: ScoreFunction, encoding: SeriesEncoding, x: np.ndarray) -> np.ndarray:
    """Return the scores of rows, (T,), from a function of windows, (m, W, F) -> (m,)."""
    windows = encoding.windows(x)
    result = np.zeros(len(windows.row_of_step))
    for block in split_blocks(windows, encoding.width):
        first, stop = block.starts[0], block.starts[-1] + windows.window
        inputs = filled_inputs(encoding, x[windows.row_of_step[first:stop]])
        views = sliding_window_view(inputs, windows.window, axis=0).transpose(0, 2, 1)
        scores = torch.from_numpy(score(views[block.starts - first]).astype(np.float64))
        found = combine_windows(scores, block, windows.window, encoding.combine)
        result[block.start : block.stop] = found[:, 0].numpy()
    return result[windows.step_of_row]


def flattened(score: ScoreFunction) -> ScoreFunction:
    """Let a function of vectors score flattened windows."""
    return lambda windows: score(windows.reshape(len(windows), -1))


def _steps(windows: np.ndarray, lags: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `lags` rows before a step, (m, lags * F), and the row at that step, (m, F)."""
    before = windows[:, step - lags : step].reshape(len(windows), -1).astype(np.float64)
    return before, windows[:, step].astype(np.float64)
