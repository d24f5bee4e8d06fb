"""Scores of the rows of series equal those of a naive loop, at once and in a stream."""

import numpy as np
import pytest
import torch

from hourglass.core.errors import UserError
from hourglass.detection.scorers import Combined, ModelScore, Neighbors, RaPP, StandardizedError
from hourglass.detection.scoring import FittedScorer, errors, latent_codes, reconstructions
from hourglass.detection.series_stream import SeriesStream
from hourglass.networks import Dense
from tests.data.series_rows import series_encoding, series_rows

SCORERS = [ModelScore(), StandardizedError(), Combined([RaPP(), Neighbors()])]
LENGTHS = pytest.mark.parametrize(("window", "stride"), [(8, 1), (8, 3), (40, 1)])
COMBINE = {
    "mean": np.mean,
    "max": np.max,
    "median": lambda values: np.sort(values)[(len(values) - 1) // 2],
}


def network_for(encoding):
    torch.manual_seed(0)
    network = Dense(encoding.input_shape, 4, [16])
    network.add_heads(encoding.heads)
    return network.eval().requires_grad_(False)


def setting(window=8, stride=1, entities=2, rows=240, **settings):
    x, columns = series_rows(rows, entities=entities)
    if settings.pop("missing", False):
        x[::9, 2] = np.nan
    encoding = series_encoding(x, columns, window=window, stride=stride, **settings)
    return x, encoding, network_for(encoding)


def naive_scores(x, encoding, network, row_score, combine):
    """Return the scores by a loop over windows and rows."""
    windows = encoding.windows(x)
    found = [[] for _ in range(len(windows.row_of_step))]
    for start in windows.starts:
        rows = windows.row_of_step[start : start + encoding.window]
        inputs = torch.from_numpy(encoding(x[rows])).T[None]
        with torch.inference_mode():
            squares = (network(inputs) - inputs).square()[0].mean(0).numpy()
        for j in range(encoding.window):
            found[start + j].append(squares[j] if row_score == "step" else squares.mean())
    return np.array([COMBINE[combine](found[step]) for step in windows.step_of_row])


@LENGTHS
@pytest.mark.parametrize("row_score", ["window", "step"])
@pytest.mark.parametrize("combine", COMBINE)
def test_scores_equal_those_of_a_loop(window, stride, row_score, combine):
    x, encoding, network = setting(window, stride, row_score=row_score, combine=combine)
    scores = FittedScorer.fit(network, encoding, ModelScore(), x)(x)
    expected = naive_scores(x, encoding, network, row_score, combine)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_blocks_of_any_size_give_the_same_scores(monkeypatch):
    x, encoding, network = setting(rows=600, entities=1)
    scorer = FittedScorer.fit(network, encoding, StandardizedError(), x)
    expected = scorer(x)
    monkeypatch.setattr("hourglass.detection.series_scoring.MAX_BLOCK_ELEMENTS", 1)
    np.testing.assert_allclose(scorer(x), expected, rtol=1e-5)


def test_errors_outputs_and_codes_have_a_row_per_row():
    x, encoding, network = setting()
    assert errors(network, x, encoding).shape == (len(x),)
    assert reconstructions(network, x, encoding).shape == (len(x), encoding.width)
    assert latent_codes(network, x, encoding).shape == (len(x), 4)


def test_missing_cells_have_no_part_in_the_score():
    x, encoding, network = setting(missing=True)
    scores = FittedScorer.fit(network, encoding, StandardizedError(), x)(x)
    assert np.isfinite(scores).all()


@LENGTHS
@pytest.mark.parametrize("scorer", SCORERS, ids=str)
@pytest.mark.parametrize(("row_score", "combine"), [("window", "max"), ("step", "mean")])
def test_a_stream_gives_the_scores_of_the_file(window, stride, scorer, row_score, combine):
    x, encoding, network = setting(window, stride, row_score=row_score, combine=combine)
    fitted = FittedScorer.fit(network, encoding, scorer, x)
    stream, found, rng = SeriesStream(fitted), np.full(len(x), np.nan), np.random.default_rng(0)
    first = 0
    while first < len(x):
        stop = first + int(rng.integers(1, 30))
        numbers, scores = stream.add(x[first:stop])
        assert np.isnan(found[numbers]).all()
        found[numbers] = scores
        first = stop
    numbers, scores = stream.flush()
    found[numbers] = scores
    np.testing.assert_allclose(found, fitted(x), rtol=1e-4)


def test_a_stream_scores_each_row_after_its_latency():
    x, encoding, network = setting(window=8, entities=1, max_gap=100.0)
    stream = SeriesStream(FittedScorer.fit(network, encoding, ModelScore(), x), latency=0)
    numbers = [stream.add(row[None])[0].tolist() for row in x]
    complete = next(i for i, found in enumerate(numbers) if found)
    assert numbers[complete] == list(range(complete + 1))  # the first window is complete
    assert all(found == [i] for i, found in enumerate(numbers) if i > complete)


def test_a_latency_beyond_a_window_is_refused():
    x, encoding, network = setting()
    scorer = FittedScorer.fit(network, encoding, ModelScore(), x)
    with pytest.raises(UserError, match="latency is 8, but must be between 0 and 7 rows"):
        SeriesStream(scorer, latency=8)
