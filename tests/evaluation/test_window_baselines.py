"""Baselines of windows: against scikit-learn, and anomalies that each kind detects."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from hourglass.core.errors import UserError
from hourglass.data.columns.column import Column
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.evaluation import window_baselines
from hourglass.evaluation.metrics.vus import vus
from hourglass.evaluation.window_baselines import WINDOW_BASELINES, score_rows, train_windows
from tests.data.series_rows import series_encoding, series_rows

LENGTH = 40
BASELINES = pytest.mark.parametrize("name", WINDOW_BASELINES)


def windows(values: np.ndarray, length: int = LENGTH) -> np.ndarray:
    """Return all windows of a series, (T, F) -> (T - length + 1, length, F) float32."""
    return sliding_window_view(values, length, axis=0).transpose(0, 2, 1).astype(np.float32)


def two_waves(rows: int, seed: int) -> np.ndarray:
    """Return a series of two channels with a period of 25 rows, (rows, 2)."""
    steps, rng = np.arange(rows), np.random.default_rng(seed)
    waves = np.stack([np.sin(2 * np.pi * steps / 25), np.cos(2 * np.pi * steps / 25)], 1)
    return 1.4 * waves + 0.1 * rng.normal(size=(rows, 2))


@BASELINES
@pytest.mark.parametrize("kind", ["level", "shape", "channels"])
def test_each_baseline_detects_a_changed_series(name, kind):
    series = two_waves(1500, seed=0)
    anomaly = np.zeros(1500, bool)
    anomaly[1000:1080] = True
    if kind == "level":
        series[anomaly] += 3
    elif kind == "shape":
        series[anomaly] = 1.4 * np.sin(np.arange(80))[:, None]
    else:  # each channel is usual by itself
        series[anomaly, 1] = -series[anomaly, 1]
    columns = [Column("time", "time"), Column("a", scaling="none"), Column("b", scaling="none")]
    x = np.column_stack([np.arange(1500.0), series])
    encoding = SeriesEncoding.fit(columns, x[:600])
    encoding = replace(encoding, window=LENGTH, combine="mean")
    score = WINDOW_BASELINES[name](train_windows(encoding, x[:600]), 0)
    rows = score_rows(score, encoding, x)
    assert vus(rows, anomaly, 25)["VUS_PR"] > 0.6  # the prevalence is 0.05


def test_the_scores_of_rows_are_those_of_their_windows():
    x, columns = series_rows(120, entities=2)
    encoding = series_encoding(x, columns, window=8, stride=3)
    index = encoding.windows(x)
    scores = train_windows(encoding, x)[:, 2].sum(1)
    expected = np.full(len(index.row_of_step), -np.inf)
    for start, value in zip(index.starts, scores, strict=True):
        covered = slice(start, start + 8)
        expected[covered] = np.maximum(expected[covered], value)
    found = score_rows(lambda windows: windows[:, 2].sum(1), encoding, x)
    np.testing.assert_array_equal(found, expected[index.step_of_row])


@BASELINES
def test_scores_are_finite_for_constant_channels_and_few_windows(name):
    series = np.concatenate([two_waves(60, seed=0), np.full((60, 1), 0.5)], 1)
    score = WINDOW_BASELINES[name](windows(series), 0)  # 21 windows of 120 values
    changed = series + np.arange(60)[:, None] / 10
    scores = score(windows(changed))
    assert scores.shape == (21,)
    assert np.isfinite(scores).all()


def test_sub_pca_agrees_with_scikit_learn():
    train, new = windows(two_waves(600, seed=0)), windows(two_waves(300, seed=1))
    flat, x = train.reshape(len(train), -1), new.reshape(len(new), -1)
    model = PCA(window_baselines.VARIANCE, svd_solver="full").fit(flat)
    expected = np.square(model.inverse_transform(model.transform(x)) - x).mean(1)
    np.testing.assert_allclose(window_baselines.sub_pca(train, 0)(new), expected, rtol=1e-3)


def test_neighbors_agree_with_scikit_learn():
    train, new = windows(two_waves(600, seed=0)), windows(two_waves(300, seed=1))
    model = NearestNeighbors(n_neighbors=5).fit(train.reshape(len(train), -1))
    expected = model.kneighbors(new.reshape(len(new), -1))[0].mean(1)
    np.testing.assert_allclose(window_baselines.neighbors(train, 0)(new), expected, rtol=1e-4)


def test_the_forecast_agrees_with_ridge_regression():
    length = 6  # 3 rows predict the next
    train = windows(two_waves(400, seed=0), length)
    new = windows(two_waves(200, seed=1), length)
    penalty = window_baselines.RIDGE * len(train)
    model = Ridge(penalty).fit(train[:, 2:5].reshape(len(train), -1), train[:, 5])
    scale = np.square(train[:, 5] - model.predict(train[:, 2:5].reshape(len(train), -1))).mean(0)
    expected = np.zeros(len(new))
    for step in (3, 4, 5):
        before = new[:, step - 3 : step].reshape(len(new), -1)
        expected += (np.square(new[:, step] - model.predict(before)) / scale).mean(1) / 3
    np.testing.assert_allclose(window_baselines.autoregression(train, 0)(new), expected, rtol=1e-4)


def test_a_forecast_needs_two_rows():
    with pytest.raises(UserError, match="a window has 1 row"):
        window_baselines.autoregression(windows(two_waves(50, seed=0), 1), 0)
