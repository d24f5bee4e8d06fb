"""The score that aggregates those of an ensemble's members."""

import numpy as np
import pytest
import torch
from scipy import stats

from hourglass.data.columns.codes import codes
from hourglass.data.table_encoding import TableEncoding
from hourglass.detection.detector import Detector
from hourglass.detection.scorers import EnsembleScore, ModelScore
from hourglass.detection.scoring import FittedScorer
from hourglass.networks import Dense
from hourglass.networks.ensemble import Ensemble
from tests.detection.detectors import detector, normal
from tests.mixed_tables import mixed_columns, mixed_frame

MEMBERS = 3


@pytest.fixture
def table() -> Detector:
    torch.manual_seed(0)
    return detector(Ensemble([4], 6, MEMBERS))


def errors(table: Detector, x: np.ndarray) -> np.ndarray:
    """Return the squared errors of each member, (N, members, F), by NumPy."""
    inputs = table.encoding(x)
    network = table.scoring.network
    assert isinstance(network, Ensemble)
    with torch.inference_mode():
        codes = network.encode(torch.from_numpy(inputs))
        outputs = network.member_logits(codes).numpy().astype(np.float64)
    return (outputs - inputs[:, None]) ** 2


def fitted(table: Detector, scorer: EnsembleScore, held_out: np.ndarray | None) -> FittedScorer:
    network, x = table.scoring.network, normal((4,), 300, 1)
    return FittedScorer.fit(network, table.encoding, scorer, x, held_out)


def test_the_mean_without_standardisation_is_the_mean_of_the_members_errors(table):
    x = normal((4,), 40, 3)
    scores = fitted(table, EnsembleScore("mean", standardize=False), None)(x)
    np.testing.assert_allclose(scores, errors(table, x).mean((1, 2)), rtol=1e-5)


def test_standardised_errors_are_divided_by_each_members_own_mean(table):
    x, train = normal((4,), 40, 3), normal((4,), 300, 1)
    scores = fitted(table, EnsembleScore("mean"), None)(x)
    usual = errors(table, train).mean(0)
    np.testing.assert_allclose(scores, (errors(table, x) / usual).mean((1, 2)), rtol=1e-4)


def test_ranks_are_scipys_percentiles_among_held_out_samples_averaged(table):
    x, held_out = normal((4,), 40, 3), normal((4,), 500, 7)
    scores = fitted(table, EnsembleScore("rank", standardize=False), held_out)(x)
    usual, new = (errors(table, part).mean(2) for part in (held_out, x))
    ranks = [
        [stats.percentileofscore(usual[:, j], each[j], kind="mean") / 100 for j in range(MEMBERS)]
        for each in new
    ]
    inside = (new <= usual.max(0)).all(1)
    assert 30 < inside.sum() <= 40
    np.testing.assert_allclose(scores[inside], np.mean(ranks, 1)[inside], atol=3e-3)


def test_ranks_go_on_above_the_highest_normal_error(table):
    x = normal((4,), 40, 3) + 1e3 * np.arange(1, 41)[:, None]
    scorer = fitted(table, EnsembleScore("rank", standardize=False), None)
    highest = errors(table, normal((4,), 300, 1)).mean(2).max(0)
    new = errors(table, x).mean(2)
    assert (new > highest).all()
    np.testing.assert_allclose(scorer(x), (1 + np.log(new / highest)).mean(1), rtol=1e-5)


def test_standardised_scores_are_those_of_logarithms(table):
    x, train = normal((4,), 40, 3), normal((4,), 300, 1)
    scores = fitted(table, EnsembleScore("standardized", standardize=False), None)(x)
    usual, new = (errors(table, part).mean(2) for part in (train, x))
    floor = 0.01 * np.median(usual, 0)
    z = (np.log(new + floor) - np.log(usual + floor).mean(0)) / np.log(usual + floor).std(0)
    np.testing.assert_allclose(scores, np.log1p(np.exp(z.mean(1))), rtol=1e-4)


@pytest.mark.parametrize("aggregation", ["mean", "standardized", "rank"])
def test_a_score_does_not_depend_on_the_other_samples(table, aggregation):
    x = normal((4,), 40, 3)
    scorer = fitted(table, EnsembleScore(aggregation), normal((4,), 100, 7))
    assert np.array_equal(scorer(x)[:7], scorer(x[:7]))


@pytest.mark.parametrize("aggregation", ["mean", "standardized", "rank"])
def test_tables_with_missing_cells_and_images_have_finite_scores(aggregation):
    scorer = EnsembleScore(aggregation)
    images = detector(Ensemble((1, 4, 4), 6, MEMBERS, bounded=True), scorer)
    assert np.isfinite(images.scoring(normal((1, 4, 4), 20))).all()
    rows = codes(mixed_frame(300), mixed_columns())
    encoding = TableEncoding.fit(mixed_columns(), rows)
    network = Ensemble([encoding.width], 6, MEMBERS)
    network.add_heads(encoding.heads)
    network.eval().requires_grad_(False)
    assert np.isfinite(FittedScorer.fit(network, encoding, scorer, rows)(rows)).all()


def test_one_member_with_the_mean_is_the_models_score():
    torch.manual_seed(0)
    single = detector(Ensemble([4], 2, 1), EnsembleScore("mean", standardize=False))
    x = normal((4,), 40, 3)
    own = FittedScorer.fit(single.scoring.network, single.encoding, ModelScore(), x)
    np.testing.assert_allclose(single.scoring(x), own(x), rtol=1e-5)


def test_a_network_without_members_and_another_aggregation_are_refused(refusal):
    assert "has none" in refusal(detector, Dense([4], 2), EnsembleScore())
    assert "aggregation is 'median'" in refusal(EnsembleScore, "median")
