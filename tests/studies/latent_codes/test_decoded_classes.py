"""Interpolations and neighbourhoods, of codes whose classes are known."""

import numpy as np
import pytest

from hourglass.studies.latent_codes.decoded_classes import (
    DEVIATIONS,
    analyse_interpolation,
    analyse_neighbourhood,
    radius,
)


def brightest(x: np.ndarray) -> np.ndarray:
    """Return the correct classes of the clusters: the brightest of three elements."""
    return x.reshape(len(x), -1)[:, :3].argmax(1)


def test_decodings_between_two_codes_have_the_class_of_one_of_them(space):
    metrics = analyse_interpolation(space, brightest).metrics
    assert metrics == {"interpolation_within_classes": 1, "interpolation_between_classes": 1}


def test_decodings_of_a_third_class_do_not_count_and_pairs_between_classes_have_two(space):
    table = analyse_interpolation(space, lambda x: np.full(len(x), 2)).tables["interpolation"]
    shares = {kind: rows.share_of_an_end.unique() for kind, rows in table.groupby("pairs")}
    assert shares["within"] == pytest.approx([1 / 3])
    assert len(shares["between"]) == 1
    assert 0.5 < shares["between"][0] < 0.8  # two of three pairs have class 2 at one end
    assert table.step.tolist() == 2 * [i / 10 for i in range(11)]


def test_decodings_keep_their_class_near_a_code_only(space):
    result = analyse_neighbourhood(space, brightest)
    share = result.tables["neighbourhood"].share_of_same_class
    assert share[0] == 1
    assert share.iloc[-1] < 0.9
    assert 0 < result.metrics["neighbourhood_radius"] < DEVIATIONS[-1]


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
