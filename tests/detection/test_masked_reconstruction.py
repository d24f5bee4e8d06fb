"""The score that hides one column or patch at a time."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from hourglass.data.columns.codes import codes
from hourglass.detection.anomaly_maps import MapSettings
from hourglass.detection.scorers import MaskedReconstruction
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scorers.masked_reconstruction import masked_inputs
from hourglass.detection.scoring import FittedScorer
from hourglass.networks import Dense
from hourglass.networks.masked import Masked
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


@pytest.mark.parametrize("takes_hidden", [False, True])
def test_the_error_of_a_patch_is_that_of_a_pass_that_hides_it_alone(takes_hidden):
    shape, x = (2, 5, 7), torch.rand(4, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    kind = Masked if takes_hidden else Dense
    network = kind(shape, 3, bounded=True).eval().requires_grad_(False)
    expected = np.zeros((4, *shape))
    for top, left in itertools.product(range(0, 5, 3), range(0, 7, 3)):
        for i, image in enumerate(x):
            hidden = image.clone()
            hidden[:, top : top + 3, left : left + 3] = torch.nan if takes_hidden else 0
            output = network(hidden[None])[0]
            errors = (output - image).square()[:, top : top + 3, left : left + 3]
            expected[i, :, top : top + 3, left : left + 3] = errors
    forward = ForwardCache(network, x)
    losses = MaskedReconstruction(3).extract(forward)
    np.testing.assert_allclose(losses.numpy(), expected.reshape(4, -1), rtol=1e-4, atol=1e-6)
    maps = MapSettings(smoothing=0, of="masked", patch=3)(forward)
    np.testing.assert_allclose(maps.numpy(), expected.mean(1), rtol=1e-4, atol=1e-6)


def test_a_pass_holds_one_patch_at_a_time():
    network, passes = Dense((1, 8, 8), 2).eval().requires_grad_(False), []
    network.encoder.register_forward_pre_hook(lambda _, args: passes.append(len(args[0])))
    MaskedReconstruction(4).extract(ForwardCache(network, torch.rand(6, 1, 8, 8)))
    assert passes == [6] * 4


def test_a_network_of_features_and_a_patch_without_pixels_are_refused(refusal):
    network = Dense((1, 4, 4), 2)
    network.__class__ = type("OfFeatures", (Dense,), {"target_shape": (3, 2, 2)})
    forward = ForwardCache(network, torch.rand(2, 1, 4, 4))
    assert "reconstructs features" in refusal(MaskedReconstruction().extract, forward)
    assert "patch is 0" in refusal(MaskedReconstruction, 0)
