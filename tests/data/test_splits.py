import json
from itertools import pairwise

import numpy as np
import pytest

from hourglass.data.base import Fractions, Raw
from hourglass.data.splits import SPLITS, split
from hourglass.stages.prepare import prepare

KINDS = ["chance", "time", "official", "official and time"]
ONLY_NORMAL = ("train", "validation", "calibration")


def make(kind: str = "chance", seed: int = 0, normal: int = 200, anomalies: int = 40) -> Raw:
    rng = np.random.default_rng(seed)
    n = normal + anomalies
    anomaly = rng.permutation(np.arange(n) < anomalies)
    return Raw(
        x=np.arange(n, dtype=np.float32)[:, None],
        label=anomaly.astype(str),
        anomaly=anomaly,
        id=np.arange(n).astype(str),
        source={"name": "", "licence": "", "complete": True, "files": {}},
        official_test=rng.random(n) < 0.3 if "official" in kind else None,
        # Several samples share each moment.
        time=rng.integers(0, n // 3, n).astype(float) if "time" in kind else None,
    )


@pytest.fixture(params=[(kind, seed) for kind in KINDS for seed in range(4)], ids=str)
def raw(request) -> Raw:
    kind, seed = request.param
    rng = np.random.default_rng(seed)
    return make(kind, seed, int(rng.integers(30, 300)), int(rng.integers(0, 150)))


@pytest.fixture
def parts(raw):
    return split(raw, Fractions(), seed=0)


def normal(raw: Raw, indices: np.ndarray) -> np.ndarray:
    return indices[~raw.anomaly[indices]]


def test_the_five_splits_are_disjoint(parts):
    assert tuple(parts) == SPLITS
    indices = np.concatenate(list(parts.values()))
    assert len(np.unique(indices)) == len(indices)


def test_indices_are_sorted(parts):
    assert all((np.diff(indices) > 0).all() for indices in parts.values())


def test_the_same_seed_gives_the_same_splits(raw, parts):
    again = split(raw, Fractions(), seed=0)
    assert all((again[name] == parts[name]).all() for name in SPLITS)


def test_another_seed_gives_other_splits():
    first, other = (split(make(), Fractions(), seed) for seed in (0, 1))
    assert not any(np.array_equal(first[name], other[name]) for name in SPLITS)


def test_splits_for_learning_hold_normal_samples_only(raw, parts):
    assert not any(raw.anomaly[parts[name]].any() for name in ONLY_NORMAL)


def test_no_normal_sample_is_lost(raw, parts):
    found = np.sort(np.concatenate([normal(raw, indices) for indices in parts.values()]))
    np.testing.assert_array_equal(found, np.flatnonzero(~raw.anomaly))


def test_anomalies_are_lost_to_the_cap_of_tuning_alone(raw, parts):
    lost = raw.anomaly.sum() - sum(int(raw.anomaly[indices].sum()) for indices in parts.values())
    capped = 2 * len(normal(raw, parts["tuning"])) == len(parts["tuning"])
    assert lost == 0 or capped


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["chance", "official", "official and time"])
def test_tuning_takes_no_more_anomalies_than_normal_samples(kind, seed):
    raw = make(kind, seed, normal=60, anomalies=300)
    tuning = split(raw, Fractions(), seed)["tuning"]
    assert raw.anomaly[tuning].mean() == 0.5


@pytest.mark.parametrize("kind", ["chance", "time"])
def test_normal_samples_are_shared_out_as_asked(kind):
    raw = make(kind, normal=1000)
    parts = split(raw, Fractions(0.3, 0.25, 0.2, 0.15, 0.1), seed=0)
    counts = [len(normal(raw, parts[name])) for name in SPLITS]
    assert counts == [300, 250, 200, 150, 100]


def test_anomalies_are_shared_out_as_asked():
    raw = make(normal=1000, anomalies=50)
    parts = split(raw, Fractions(tuning_anomalies=0.4), seed=0)
    assert [raw.anomaly[parts[name]].sum() for name in ("tuning", "test")] == [20, 30]


@pytest.mark.parametrize("kind", ["official", "official and time"])
@pytest.mark.parametrize("seed", range(4))
def test_the_test_split_is_the_official_one(kind, seed):
    raw = make(kind, seed)
    assert raw.official_test is not None
    test = split(raw, Fractions(), seed)["test"]
    np.testing.assert_array_equal(test, np.flatnonzero(raw.official_test))


def test_beside_an_official_test_the_others_are_taken_relative_to_their_sum():
    raw = make("official", normal=1000)
    parts = split(raw, Fractions(0.25, 0.1, 0.1, 0.05, 0.5), seed=0)
    counts = np.array([len(normal(raw, parts[name])) for name in SPLITS[:-1]])
    np.testing.assert_allclose(counts / counts.sum(), [0.5, 0.2, 0.2, 0.1], atol=0.002)


@pytest.mark.parametrize("seed", range(8))
def test_normal_samples_follow_time(seed):
    raw = make("time", seed)
    assert raw.time is not None
    parts = split(raw, Fractions(), seed)
    moments = [raw.time[normal(raw, parts[name])] for name in SPLITS]
    assert all(a.max() <= b.min() for a, b in pairwise(moments))


@pytest.mark.parametrize("seed", range(8))
def test_anomalies_from_before_the_test_period_are_for_tuning_and_later_ones_for_test(seed):
    raw = make("time", seed)
    assert raw.time is not None
    parts = split(raw, Fractions(), seed)
    begin = raw.time[normal(raw, parts["test"])].min()
    for name, expected in (("tuning", raw.time < begin), ("test", raw.time >= begin)):
        found = parts[name][raw.anomaly[parts[name]]]
        np.testing.assert_array_equal(found, np.flatnonzero(raw.anomaly & expected))


def test_the_split_by_time_does_not_depend_on_the_seed():
    raw = make("time")
    first, other = (split(raw, Fractions(), seed) for seed in (0, 1))
    assert all(np.array_equal(first[name], other[name]) for name in SPLITS)


def test_the_card_counts_what_is_in_no_split(own_table, set_yaml):
    fractions = {"train": 0.5, "validation": 0.2, "calibration": 0.2, "tuning": 0.05, "test": 0.05}
    fractions["tuning_anomalies"] = 1.0  # 12 anomalies for the 6 normal samples of tuning
    set_yaml(f"configs/data/{own_table}.yaml", "init_args", "fractions", value=fractions)
    card = json.loads((prepare(own_table) / "card.json").read_text(encoding="utf-8"))
    assert card["unused"] == 6


@pytest.mark.parametrize(
    "shares",
    [
        (0.5, 0.1, 0.15, 0.1, 0.1),
        (0.6, 0.1, 0.15, 0.1, 0.15),
        (1.1, 0.1, -0.15, 0.1, -0.15),
        (float("nan"), 0.1, 0.15, 0.1, 0.15),
    ],
)
def test_fractions_that_are_no_shares_of_1_are_refused(refusal, shares):
    assert f"'train': {shares[0]}" in refusal(split, make(), Fractions(*shares), 0)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_of_anomalies_outside_of_0_to_1_is_refused(refusal, share):
    fractions = Fractions(tuning_anomalies=share)
    assert f"tuning_anomalies is {share}" in refusal(split, make(), fractions, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("empty", SPLITS[:-1])
def test_a_split_without_normal_samples_is_refused_by_name(refusal, kind, empty):
    shares = dict.fromkeys(SPLITS, 0.25) | {empty: 0.0}
    assert f"the {empty} split" in refusal(split, make(kind), Fractions(**shares), 0)


@pytest.mark.parametrize("kind", ["chance", "time"])
def test_an_empty_test_split_is_refused(refusal, kind):
    fractions = Fractions(0.25, 0.25, 0.25, 0.25, 0.0)
    assert "the test split" in refusal(split, make(kind), fractions, 0)


def test_nothing_but_a_share_for_an_official_test_is_refused(refusal):
    refusal(split, make("official"), Fractions(0.0, 0.0, 0.0, 0.0, 1.0), 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_normal_samples_are_refused(refusal, kind, count):
    assert "split would hold none" in refusal(split, make(kind, normal=count), Fractions(), 0)
