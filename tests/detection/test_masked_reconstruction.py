"""The score that masks one column at a time."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from hourglass.data.columns.codes import codes
from hourglass.data.scaling import Scaling
from hourglass.detection.scorers import MaskedReconstruction
from hourglass.detection.scorers.masked_reconstruction import masked_inputs
from hourglass.detection.scoring import FittedScorer
from hourglass.networks import Dense
from tests.detection.detectors import detector, normal
from tests.mixed_tables import mixed_columns, mixed_detector, mixed_frame


@pytest.mark.parametrize("column", range(5))
def test_a_masked_column_equals_a_missing_one(column):
    mixed = mixed_detector()
    x = codes(mixed_frame(50, 3), mixed_columns())
    masked = masked_inputs(mixed.scoring.network.heads, torch.from_numpy(mixed.encoding(x)), column)
    x[:, column] = np.nan
    np.testing.assert_array_equal(masked.numpy(), mixed.encoding(x))


def test_the_loss_of_a_column_does_not_depend_on_its_own_value_through_the_network():
    table = detector(Dense([4], 3))
    network, x = table.scoring.network, normal((4,), 30, 9)
    scoring = FittedScorer.fit(network, table.encoding, MaskedReconstruction(), x)
    losses = scoring.score_with(x, MaskedReconstruction().extract)[1]
    for column in range(4):
        known = x.copy()
        known[:, column] = np.nan
        with torch.inference_mode():
            predicted = network(torch.from_numpy(table.encoding(known)))[:, column].numpy()
        expected = (table.encoding(x)[:, column] - predicted) ** 2
        np.testing.assert_allclose(losses[:, column], expected, rtol=1e-3, atol=1e-5)


def test_usual_values_in_an_unusual_combination_have_higher_scores():
    frame = mixed_frame(400, 3)
    changed = mixed_frame(400, 4)
    changed["amount"] = changed.amount.where(changed.service != "http", changed.amount * 50)
    scoring = mixed_detector(MaskedReconstruction()).scoring
    scores = [
        scoring(codes(each, mixed_columns()))
        for each in (frame, changed[changed.service == "http"])
    ]
    anomaly = np.repeat([False, True], [len(each) for each in scores])
    assert roc_auc_score(anomaly, np.concatenate(scores)) > 0.8


def test_images_are_refused(refusal):
    network = Dense((1, 4, 4), 2).eval().requires_grad_(False)
    x = normal((1, 4, 4), 20)
    said = refusal(FittedScorer.fit, network, Scaling.of_images(255), MaskedReconstruction(), x)
    assert "samples are images" in said
