"""The conformal martingale: p-values, bets, false-alarm rate and detection delay."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, kstest

from hourglass.detection.calibrators.conformal import p_values
from hourglass.detection.drift.martingale import (
    JUMP_PROBABILITIES,
    bets,
    count_earlier_smaller,
    first_alarm,
    log_martingale,
    online_p_values,
)


def by_definition(calibration: np.ndarray, scores: np.ndarray, seed: int) -> list[float]:
    """Return smoothed p-values by the definition of Vovk et al. (2005), one by one."""
    chance, known, p = np.random.default_rng(seed).random(len(scores)), list(calibration), []
    for score, u in zip(scores, chance, strict=True):
        known.append(score)
        greater, equal = (sum(map(test, known)) for test in (score.__lt__, score.__eq__))
        p.append((greater + u * equal) / len(known))
    return p


@pytest.mark.parametrize("count", [0, 1, 2, 3, 31, 32, 33, 60])
@pytest.mark.parametrize("ties", [False, True])
def test_p_values_agree_with_the_definition(count, ties):
    rng = np.random.default_rng(count)
    scores = rng.integers(0, 5, 90).astype(float) if ties else rng.normal(size=90)
    old, new = scores[:30], scores[30 : 30 + count]
    np.testing.assert_allclose(online_p_values(old, new, 3), by_definition(old, new, 3))


@pytest.mark.parametrize("count", [0, 1, 2, 5, 64, 65, 200])
def test_smaller_predecessors_are_counted(count):
    order = np.random.default_rng(count).permutation(count)
    expected = [(order[:i] < number).sum() for i, number in enumerate(order)]
    assert count_earlier_smaller(order)[order].tolist() == expected


@pytest.mark.parametrize("ties", [False, True])
def test_p_values_of_exchangeable_scores_are_uniform_and_independent(ties):
    rng = np.random.default_rng(1)
    scores = rng.poisson(2, 6000).astype(float) if ties else rng.exponential(size=6000)
    p = online_p_values(scores[:50], scores[50:], 0)
    assert kstest(p, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(p[:-1], p[1:])[0, 1]) < 4 / math.sqrt(len(p))


@pytest.mark.parametrize("i", range(5))
def test_every_bet_is_fair_and_finite(i):
    """With an unfair bet, Ville's inequality would not hold."""
    mean, _ = quad(lambda p: bets(np.array([p]))[0, i], 0, 1, limit=500)
    assert mean == pytest.approx(1, abs=1e-4)
    assert mean < 1 + 1e-8
    assert (bets(np.array([0.0, 1.0]))[:, i] > 0).all()
    assert np.isfinite(bets(np.array([0.0, 1.0]))).all()


def test_the_capital_is_the_mean_over_the_jumpers(monkeypatch):
    monkeypatch.setattr("hourglass.detection.drift.martingale.BLOCK_SIZE", 7)
    p = np.random.default_rng(2).random(40) ** 2
    capitals = [np.ones(40)]
    for jump in JUMP_PROBABILITIES:
        stakes, capital = np.full(5, 0.2), []
        for won in bets(p):
            stakes = ((1 - jump) * stakes + jump * stakes.sum() / 5) * won
            capital.append(stakes.sum())
        capitals.append(np.array(capital))
    np.testing.assert_allclose(np.exp(log_martingale(p)), np.mean(capitals, 0))


def alarmed(p: np.ndarray, alpha: float) -> bool:
    return first_alarm(log_martingale(p), alpha) is not None


@pytest.mark.parametrize("draw", ["exponential", "standard_cauchy", "constant"])
def test_without_drift_the_false_alarm_rate_is_at_most_alpha(draw):
    """For any distribution of scores, with few calibration scores."""
    rng, alpha, times = np.random.default_rng(4), 0.2, 120
    alarms = 0
    for seed in range(times):
        scores = np.zeros(170) if draw == "constant" else getattr(rng, draw)(size=170)
        alarms += alarmed(online_p_values(scores[:20], scores[20:], seed), alpha)
    assert alarms <= binom.ppf(0.999, times, alpha)


def test_p_values_with_a_fixed_reference_would_alarm_too_often():
    """A fixed reference makes p-values dependent, so the reference must grow with the stream."""
    rng, alpha, times = np.random.default_rng(5), 0.2, 40
    alarms = 0
    for _ in range(times):
        scores = rng.exponential(size=620)
        alarms += alarmed(p_values(scores[:20], scores[20:]), alpha)
    assert alarms > binom.ppf(0.999, times, alpha)


@pytest.mark.parametrize(
    ("change", "delay"),
    [
        (lambda x, rng: x + 2, 25),
        (lambda x, rng: x + 0.5, 400),
        (lambda x, rng: x - 0.5, 400),
        (lambda x, rng: np.where(rng.random(len(x)) < 0.1, x + 8, x), 400),
    ],
    ids=["much higher", "higher", "lower", "one in ten an anomaly"],
)
def test_drift_is_detected_soon_after_it_begins(change, delay):
    rng = np.random.default_rng(6)
    for seed in range(3):
        calibration, scores = rng.normal(size=1000), rng.normal(size=1000)
        scores[500:] = change(scores[500:], rng)
        alarm = first_alarm(log_martingale(online_p_values(calibration, scores, seed)), 0.01)
        assert alarm is not None
        assert 500 <= alarm < 500 + delay


def test_the_loss_without_drift_is_bounded():
    quiet = log_martingale(np.random.default_rng(7).random(8000))
    assert quiet.min() > -math.log(5) - 1e-9
    assert np.isfinite(log_martingale(np.full(5000, 1e-9))).all()


def test_an_empty_stream_raises_no_alarm():
    assert not alarmed(online_p_values(np.arange(5.0), np.zeros(0), 0), 0.01)
