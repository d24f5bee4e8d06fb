"""Interpolations and neighbourhoods, of codes whose classes are known."""

import numpy as np
import pytest

from hourglass.studies.latent_codes.interpolation import analyse_interpolation
from hourglass.studies.latent_codes.neighbourhood import DEVIATIONS, analyse_neighbourhood, radius


def test_decodings_between_two_codes_have_the_class_of_one_of_them(space, brightest):
    metrics = analyse_interpolation(space, brightest).metrics
    assert metrics == {"interpolation_within_classes": 1, "interpolation_between_classes": 1}


def test_decodings_of_a_third_class_do_not_count(space):
    table = analyse_interpolation(space, lambda x: np.full(len(x), 2)).tables["interpolation"]
    within = table[table.pairs == "within"].share_of_an_end
    assert np.allclose(within, 1 / 3)
    assert len(within) == 11


def test_pairs_between_classes_have_two_classes(space):
    table = analyse_interpolation(space, lambda x: np.zeros(len(x), int)).tables["interpolation"]
    between = table[table.pairs == "between"].share_of_an_end
    assert np.allclose(between, between.iloc[0])
    assert 0.5 < between.iloc[0] < 0.8  # two of three pairs have class 0 at one end


def test_decodings_keep_their_class_near_a_code_only(space, brightest):
    result = analyse_neighbourhood(space, brightest)
    share = result.tables["neighbourhood"].share_of_same_class
    assert share[0] == 1
    assert share.iloc[-1] < 0.9
    assert 0 < result.metrics["neighbourhood_radius"] < DEVIATIONS[-1]


def test_a_classifier_of_one_class_has_the_largest_radius(space):
    result = analyse_neighbourhood(space, lambda x: np.zeros(len(x), int))
    assert result.metrics["neighbourhood_radius"] == DEVIATIONS[-1]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([1, 0.95, 0.85, 0.5], 1.5),
        ([0.8, 0.7, 0.6, 0.5], 0),
        ([1, 1, 1, 0.9], 3),
        ([1, 0.8, 1, 1], 0.5),
    ],
)
def test_the_radius_is_the_size_at_which_a_tenth_changes_its_class(shares, expected):
    assert radius(np.arange(4.0), np.array(shares, float)) == pytest.approx(expected)
