"""Nearest codes: the same as measured one by one, whatever the rounding."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hourglass.studies.search.nearest import BLOCK, SPARE, Nearest

RNG = np.random.default_rng(0)


def one_by_one(codes: np.ndarray, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    every = cdist(queries, codes)
    places = np.argsort(every, axis=1, kind="stable")[:, :top]
    return np.take_along_axis(every, places, 1), places


@pytest.mark.parametrize("latent_dim", [1, 2, 32])
@pytest.mark.parametrize("away", [0, 1000], ids=["around 0", "far from 0"])
def test_places_and_distances_are_those_measured_one_by_one(latent_dim, away):
    codes, queries = (
        (away + RNG.normal(size=(n, latent_dim))).astype(np.float32) for n in (700, BLOCK + 3)
    )
    distances, places = Nearest(codes)(queries, 10)
    expected, at = one_by_one(codes, queries, 10)
    np.testing.assert_array_equal(places, at)
    np.testing.assert_allclose(distances, expected, rtol=1e-9)


def test_a_code_finds_itself_first_at_no_distance_at_all():
    codes = (100 + RNG.normal(size=(600, 64))).astype(np.float32)
    distances, places = Nearest(codes)(codes, 3)
    np.testing.assert_array_equal(places[:, 0], np.arange(len(codes)))
    assert (distances[:, 0] == 0).all()
    assert (distances[:, 1] > 0).all()


def test_equal_distances_are_in_the_order_of_their_places():
    kinds = RNG.normal(size=(3, 5)).astype(np.float32)
    kind = RNG.integers(0, 3, 20 * SPARE)
    distances, places = Nearest(kinds[kind])(kinds, 10)
    for i in range(3):
        np.testing.assert_array_equal(places[i], np.flatnonzero(kind == i)[:10])
    assert (distances == 0).all()


def test_all_codes_may_be_asked_for():
    codes = RNG.normal(size=(12, 2)).astype(np.float32)
    _, places = Nearest(codes)(codes[:4], 12)
    assert (np.sort(places, 1) == np.arange(12)).all()


def test_many_queries_are_answered_as_each_alone():
    codes = RNG.normal(size=(500, 8)).astype(np.float32)
    nearest = Nearest(codes)
    distances, places = nearest(codes[:40], 5)
    for i in range(40):
        alone = nearest(codes[i : i + 1], 5)
        np.testing.assert_array_equal(alone[0][0], distances[i])
        np.testing.assert_array_equal(alone[1][0], places[i])
