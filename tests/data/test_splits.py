"""The five splits: disjoint, reproducible, in the requested proportions, by chance or by time."""

import json
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.data.base import Fractions, Raw
from hourglass.data.columns.column import Column
from hourglass.data.copies import count_copies, find_copies
from hourglass.data.splits import SPLITS, split
from hourglass.stages.prepare import prepare

KINDS = ["chance", "time", "official", "official and time"]
SEEDS = pytest.mark.parametrize("seed", range(4))


def make_raw(kind: str = "chance", seed: int = 0, normal: int = 200, anomalies: int = 40) -> Raw:
    rng = np.random.default_rng(seed)
    n = normal + anomalies
    anomaly = rng.permutation(np.arange(n) < anomalies)
    return Raw(
        x=np.arange(n, dtype=np.float64)[:, None],
        columns=(Column("x"),),
        label=anomaly.astype(str),
        anomaly=anomaly,
        id=np.arange(n).astype(str),
        source={"name": "", "licence": "", "complete": True, "files": {}},
        official_test=rng.random(n) < 0.3 if "official" in kind else None,
        # Several samples share each moment.
        time=rng.integers(0, n // 3, n).astype(float) if "time" in kind else None,
    )


def normal_counts(raw: Raw, fractions: Fractions) -> np.ndarray:
    parts = split(raw, fractions, seed=0)
    return np.array([(~raw.anomaly[parts[name]]).sum() for name in SPLITS])


@SEEDS
@pytest.mark.parametrize("kind", KINDS)
def test_splits_are_disjoint_and_those_for_learning_hold_normal_samples_only(kind, seed):
    rng = np.random.default_rng(seed)
    raw = make_raw(kind, seed, int(rng.integers(30, 300)), int(rng.integers(0, 150)))
    parts = split(raw, Fractions(), seed=0)
    assert tuple(parts) == SPLITS
    indices = np.concatenate(list(parts.values()))
    assert len(np.unique(indices)) == len(indices)
    assert all((np.diff(indices) > 0).all() for indices in parts.values())
    learning = [parts[name] for name in ("train", "validation", "calibration")]
    assert not raw.anomaly[np.concatenate(learning)].any()
    # No normal sample is lost; anomalies are lost only if `tuning` has reached its limit.
    lost = np.setdiff1d(np.arange(len(raw.x)), indices)
    assert raw.anomaly[lost].all()
    assert not len(lost) or raw.anomaly[parts["tuning"]].mean() == 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_splits_by_chance_only(kind):
    first, again, other = (split(make_raw(kind), Fractions(), seed) for seed in (0, 0, 1))
    for name in SPLITS:
        np.testing.assert_array_equal(first[name], again[name])
    by_chance = {"chance": SPLITS, "official": SPLITS[:4], "official and time": ("tuning",)}
    different = [name for name in SPLITS if not np.array_equal(first[name], other[name])]
    assert tuple(different) == by_chance.get(kind, ())


@SEEDS
@pytest.mark.parametrize("kind", ["chance", "official", "official and time"])
def test_tuning_takes_at_most_as_many_anomalies_as_normal_samples(kind, seed):
    raw = make_raw(kind, seed, normal=60, anomalies=300)
    assert raw.anomaly[split(raw, Fractions(), seed)["tuning"]].mean() == 0.5


@pytest.mark.parametrize("kind", ["chance", "time"])
def test_splits_have_the_requested_fractions_of_normal_samples(kind):
    counts = normal_counts(make_raw(kind, normal=1000), Fractions(0.3, 0.25, 0.2, 0.15, 0.1))
    assert counts.tolist() == [300, 250, 200, 150, 100]


def test_tuning_has_the_requested_fraction_of_anomalies():
    raw = make_raw(normal=1000, anomalies=50)
    parts = split(raw, Fractions(tuning_anomalies=0.4), seed=0)
    assert [raw.anomaly[parts[name]].sum() for name in ("tuning", "test")] == [20, 30]


@SEEDS
@pytest.mark.parametrize("kind", ["official", "official and time"])
def test_an_official_test_part_is_the_test_split(kind, seed):
    raw = make_raw(kind, seed)
    assert raw.official_test is not None
    test = split(raw, Fractions(), seed)["test"]
    np.testing.assert_array_equal(test, np.flatnonzero(raw.official_test))


def test_beside_an_official_test_part_the_other_fractions_are_normalised():
    raw = make_raw("official", normal=1000)
    counts = normal_counts(raw, Fractions(0.25, 0.1, 0.1, 0.05, 0.5))[:-1]
    np.testing.assert_allclose(counts / counts.sum(), [0.5, 0.2, 0.2, 0.1], atol=0.002)


@SEEDS
def test_splits_follow_time(seed):
    """Anomalies from before the test period are in `tuning`, later ones in `test`."""
    raw = make_raw("time", seed)
    assert raw.time is not None
    parts = split(raw, Fractions(), seed)
    times = [raw.time[parts[name][~raw.anomaly[parts[name]]]] for name in SPLITS]
    assert all(a.max() <= b.min() for a, b in pairwise(times))
    start = times[-1].min()
    for name, expected in (("tuning", raw.time < start), ("test", raw.time >= start)):
        anomalies = parts[name][raw.anomaly[parts[name]]]
        np.testing.assert_array_equal(anomalies, np.flatnonzero(raw.anomaly & expected))


def test_the_data_card_counts_the_samples_in_no_split(own_table, set_yaml):
    fractions = {"train": 0.5, "validation": 0.2, "calibration": 0.2, "tuning": 0.05, "test": 0.05}
    fractions["tuning_anomalies"] = 1.0  # 12 anomalies for the 6 normal samples of tuning
    set_yaml(f"configs/data/{own_table}.yaml", "init_args", "fractions", value=fractions)
    card = json.loads((prepare(own_table) / "card.json").read_text(encoding="utf-8"))
    assert card["unused"] == 6


@pytest.mark.parametrize(
    ("fractions", "kind", "message"),
    [
        (Fractions(test=0.1), "chance", "'test': 0.1"),
        (Fractions(train=0.6), "chance", "'train': 0.6"),
        (Fractions(1.1, 0.1, -0.15, 0.1, -0.15), "chance", "'train': 1.1"),
        (Fractions(train=float("nan")), "chance", "'train': nan"),
        (Fractions(0.0, 0.0, 0.0, 0.0, 1.0), "official", "`test` has no effect"),
        *((Fractions(tuning_anomalies=x), "chance", f"{x}") for x in (-0.1, 1.1, float("nan"))),
    ],
)
def test_invalid_fractions_are_rejected(refusal, fractions, kind, message):
    assert message in refusal(split, make_raw(kind), fractions, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_without_normal_samples_is_rejected_by_name(refusal, kind):
    for empty in SPLITS[:4] if "official" in kind else SPLITS:
        fractions = Fractions(**dict.fromkeys(SPLITS, 0.25) | {empty: 0.0})
        assert f"the {empty} split" in refusal(split, make_raw(kind), fractions, 0)
    for count in (0, 1, 4):
        raw = make_raw(kind, normal=count)
        assert "split would hold none" in refusal(split, raw, Fractions(), 0)


# Copies of samples.


def with_copies(times: int, kind: str = "chance", **counts: int) -> Raw:
    """Return a data set in which every sample occurs `times` times, in random order."""
    raw = make_raw(kind, **counts)
    order = np.random.default_rng(1).permutation(np.tile(np.arange(len(raw.x)), times))
    fields = ("x", "label", "anomaly", "id", *(["time"] if raw.time is not None else []))
    return replace(raw, **{name: getattr(raw, name)[order] for name in fields})


@pytest.mark.parametrize("times", [2, 3, 10])
def test_copies_of_a_sample_are_in_one_split_and_splits_keep_their_proportions(times):
    raw = with_copies(times)
    parts = split(raw, Fractions(), seed=0)
    values = [set(raw.x[indices, 0]) for indices in parts.values()]
    assert not any(one & other for one, other in combinations(values, 2))
    counts = np.array([(~raw.anomaly[indices]).sum() for indices in parts.values()])
    np.testing.assert_allclose(counts, times * np.array([100, 20, 30, 20, 30]), atol=times)


def test_without_copies_samples_are_permuted_and_cut_at_the_fractions():
    raw, rng = make_raw(), np.random.default_rng(3)
    normal = rng.permutation(np.flatnonzero(~raw.anomaly))
    anomalies = rng.permutation(np.flatnonzero(raw.anomaly))
    expected = dict(zip(SPLITS, np.split(normal, [100, 120, 150, 170]), strict=True))
    expected["tuning"] = np.concatenate([expected["tuning"], anomalies[:12]])
    expected["test"] = np.concatenate([expected["test"], anomalies[12:]])
    for name, indices in split(raw, Fractions(), seed=3).items():
        np.testing.assert_array_equal(indices, np.sort(expected[name]))


def test_a_value_too_frequent_for_one_split_is_in_all_of_them():
    raw = make_raw(normal=1000)
    raw.x[np.flatnonzero(~raw.anomaly)[:600]] = -1
    parts = split(raw, Fractions(), seed=0)
    shares = [(raw.x[parts[name]] == -1).sum() / 600 for name in SPLITS]
    np.testing.assert_allclose(shares, [0.5, 0.1, 0.15, 0.1, 0.15], atol=0.05)


def test_copies_in_different_periods_stay_there_and_are_counted():
    raw = with_copies(3, "time")
    indices = split(raw, Fractions(), seed=0)
    plain = split(replace(raw, x=np.arange(len(raw.x), dtype=np.float64)[:, None]), Fractions(), 0)
    for name in SPLITS:
        np.testing.assert_array_equal(indices[name], plain[name])
    train = set(raw.x[indices["train"], 0])
    shared = sum(value in train for name in SPLITS[1:] for value in raw.x[indices[name], 0])
    counts = count_copies(find_copies(raw.x), raw.anomaly, indices)
    assert counts == {"copies": 480, "copies_of_train": shared, "normal_and_anomalous": 0}


def test_missing_values_and_zeros_of_either_sign_are_equal():
    x = np.array([[1, np.nan], [1, -np.nan], [0.0, 2], [-0.0, 2], [1, 2]])
    first, second, third, fourth, fifth = find_copies(x)
    assert first == second
    assert third == fourth
    assert len({first, third, fifth}) == 3


def test_prepare_reports_copies(own_table, capsys):
    path = Path("data/own/own_table.csv")
    frame = pd.read_csv(path)
    pd.concat([frame] * 3).to_csv(path, index=False)
    card = json.loads((prepare(own_table) / "card.json").read_text(encoding="utf-8"))
    assert card["copies"]["copies"] == 2 * len(frame)
    assert f"{2 * len(frame):,} of {3 * len(frame):,} samples equal an earlier one" in (
        capsys.readouterr().err
    )
