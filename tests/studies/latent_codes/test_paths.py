"""Maps, interpolations and neighbourhoods, where it is known what they must find."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from hourglass.studies.latent_codes.class_radius import DEVIATIONS, neighbourhood, radius
from hourglass.studies.latent_codes.embedding import evenly, latent_map
from hourglass.studies.latent_codes.interpolation import interpolation


def test_the_map_has_every_code_and_says_what_it_is(space):
    table = latent_map(space).tables["map"]
    assert dict(table.label.value_counts()) == {"a": 20, "b": 20, "c": 20, "other": 20}
    assert set(table[table.label == "other"].kind) == {"anomalous"}


def test_the_components_are_scikit_learns_of_the_normal_codes(space):
    table = latent_map(space).tables["map"]
    theirs = PCA(2).fit(space.codes.test.x)
    expected = theirs.transform(np.concatenate([space.codes.test.x, space.anomaly_codes]))
    np.testing.assert_allclose(np.abs(table[["pca_1", "pca_2"]]), np.abs(expected), atol=1e-4)


def test_the_neighbour_embedding_keeps_classes_together(space):
    table = latent_map(space).tables["map"]
    places, label = table[["tsne_1", "tsne_2"]].to_numpy(), table.label.to_numpy()
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert np.mean(label[distance.argmin(1)] == label) > 0.9


def test_the_map_is_the_same_in_every_run(space):
    first, second = (latent_map(space).tables["map"] for _ in range(2))
    assert first.equals(second)


def test_the_map_is_drawn_whole_by_class_and_with_pictures(space):
    assert list(latent_map(space).figures) == ["map", "map_classes", "map_thumbnails"]


@pytest.mark.parametrize(("count", "most"), [(0, 5), (3, 5), (100, 7)])
def test_what_is_shown_is_spread_evenly(count, most):
    chosen = evenly(count, most)
    assert len(chosen) == min(count, most)
    if len(chosen) > 1:
        assert (chosen[0], chosen[-1]) == (0, count - 1)
        assert np.ptp(np.diff(chosen)) <= 1


def test_what_lies_between_codes_of_one_class_is_of_that_class(space, brightest):
    found = interpolation(space, brightest)
    assert found.metrics["interpolation_within_classes"] == 1


def test_what_lies_between_codes_of_two_classes_is_of_either(space, brightest):
    found = interpolation(space, brightest)
    assert found.metrics["interpolation_between_classes"] == 1


def test_steps_that_look_like_a_third_class_do_not_count(space):
    found = interpolation(space, lambda x: np.full(len(x), 2))
    table = found.tables["interpolation"]
    within = table[table.pairs == "within"].share_of_an_end
    assert np.allclose(within, 1 / 3)
    assert len(within) == 11


def test_the_pairs_are_of_one_class_or_of_two(space):
    """A classifier that is right about the ends alone finds them at the first and the last step."""
    seen = interpolation(space, lambda x: np.zeros(len(x), int)).tables["interpolation"]
    between = seen[seen.pairs == "between"].share_of_an_end
    assert np.allclose(between, between.iloc[0])
    assert 0.5 < between.iloc[0] < 0.8  # two of three pairs have a class 0 in them


def test_far_from_a_code_its_class_is_lost_and_near_it_is_kept(space, brightest):
    found = neighbourhood(space, brightest)
    kept = found.tables["neighbourhood"].share_of_same_class
    assert kept[0] == 1
    assert kept.iloc[-1] < 0.9
    assert 0 < found.metrics["neighbourhood_radius"] < DEVIATIONS[-1]


def test_a_class_that_every_decoding_has_is_never_lost(space):
    found = neighbourhood(space, lambda x: np.zeros(len(x), int))
    assert found.metrics["neighbourhood_radius"] == DEVIATIONS[-1]


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ([1, 0.95, 0.85, 0.5], 1.5),
        ([0.8, 0.7, 0.6, 0.5], 0),
        ([1, 1, 1, 0.9], 3),
        ([1, 0.8, 1, 1], 0.5),
    ],
)
def test_the_radius_is_where_a_tenth_is_lost(kept, expected):
    assert radius(np.arange(4.0), np.array(kept, float)) == pytest.approx(expected)
