"""What is found of a stream of scores, in numbers and in sentences."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

from hourglass.detection.detector import Detector
from hourglass.detection.drift.alarm_rate import AlarmRateCheck
from hourglass.detection.drift.martingale import first_alarm, log_martingale, online_p_values
from hourglass.detection.drift.score_stream import ScoredStream

FEATURES = 10  # that are listed, those furthest from their usual error first
SAID = 3  # of them, in the sentence


@dataclass(frozen=True)
class Difference:
    """A two-sample Kolmogorov-Smirnov test of calibration scores and new ones."""

    statistic: float  # the largest distance of their distribution functions
    p_value: float
    higher: bool  # where that is, new scores tend to be higher

    @classmethod
    def of(cls, calibration: np.ndarray, scores: np.ndarray) -> "Difference | None":
        """Return the test, None where either has no scores."""
        if not (len(calibration) and len(scores)):
            return None
        found = ks_2samp(calibration, scores)
        return cls(float(found.statistic), float(found.pvalue), bool(found.statistic_sign > 0))


@dataclass(frozen=True)
class Drift:
    """Hold what is found; `alarm_at` and `places` count the samples of the file from 1."""

    alpha: float
    samples: int
    skipped: int
    difference: Difference
    below: Difference | None  # of the scores that are no alarms
    log10_martingale: np.ndarray  # (m,) after each sample with a score
    places: np.ndarray  # (m,) of these samples
    alarm_at: int | None
    promise: AlarmRateCheck
    features: dict[str, float]  # mean contribution of each, the largest first

    @classmethod
    def of(cls, detector: Detector, seen: ScoredStream, alpha: float, seed: int) -> "Drift":
        """Return what the scores of a stream say, in their order."""
        before, scored = detector.calibration, np.isfinite(seen.scores)
        scores, places = seen.scores[scored], np.flatnonzero(scored) + 1
        capital = log_martingale(online_p_values(before, scores, seed))
        alarm = first_alarm(capital, alpha)
        quiet = [each[~detector.threshold(each)] for each in (before, scores)]
        difference = Difference.of(before, scores)
        assert difference
        order = np.argsort(-seen.contributions, kind="stable")[:FEATURES]
        return cls(
            alpha=alpha,
            samples=len(scores),
            skipped=int((~scored).sum()),
            difference=difference,
            below=Difference.of(*quiet),
            log10_martingale=capital / math.log(10),
            places=places,
            alarm_at=None if alarm is None else int(places[alarm]),
            promise=AlarmRateCheck.of(detector.threshold, before, scores, alpha),
            features={detector.feature_names[i]: float(seen.contributions[i]) for i in order},
        )

    @property
    def found(self) -> bool:
        """Say whether something has changed: by the martingale, or by the rate of alarms."""
        return self.alarm_at is not None or self.promise.verdict in ("more", "fewer")

    def numbers(self) -> dict[str, Any]:
        """Return everything but the curve, for JSON."""
        return {
            "samples": self.samples,
            "skipped": self.skipped,
            "alpha": self.alpha,
            "found": self.found,
            "verdict": self.sentences(),
            "kolmogorov_smirnov": asdict(self.difference),
            "kolmogorov_smirnov_below_threshold": self.below and asdict(self.below),
            "martingale": {
                "alarm_at": self.alarm_at,
                "log10_alarm": -math.log10(self.alpha),
                "log10_largest": float(self.log10_martingale.max()),
                "log10_last": float(self.log10_martingale[-1]),
            },
            "threshold": asdict(self.promise),
            "mean_contributions": self.features,
        }

    def sentences(self) -> list[str]:
        """Return what a person should know, the most important first."""
        return [self._watched(), self._compared(), self._threshold(), *self._features()]

    def _watched(self) -> str:
        bound = f"{1 / self.alpha:.6g}"
        if self.alarm_at is None:
            most = 10 ** min(float(self.log10_martingale.max()), 300)
            return f"No alarm: the martingale stays below {bound} ({most:.3g} at most)."
        return (
            f"Alarm: the martingale reaches {bound} at sample {self.alarm_at:,}; without drift "
            f"the chance of that is {self.alpha:.6g} at most."
        )

    def _compared(self) -> str:
        way = "higher" if self.difference.higher else "lower"
        return (
            f"The distributions of scores are {self.difference.statistic:.3f} apart where they are "
            f"furthest, new ones {way} (Kolmogorov-Smirnov, p = {self.difference.p_value:.3g})."
        )

    def _threshold(self) -> str:
        now, before = self.promise.realised, self.promise.calibrated
        rate = f"{now.rate:.2%} of the samples are alarms [{now.low:.2%}, {now.high:.2%}], "
        promised = (
            f"{self.promise.promised:.2%} were promised [{before.low:.2%}, {before.high:.2%}]"
        )
        return {
            "holds": f"The threshold holds, if most samples are normal: {rate}{promised}.",
            "too few": f"Too few samples to say whether the threshold holds: {rate}{promised}.",
            "fewer": f"The threshold is too high now: {rate}{promised}; anomalies may be missed, "
            "so calibrate again on samples that are known to be normal.",
            "more": f"The threshold does not hold: {rate}{promised}; {self._why_more()}",
        }[self.promise.verdict]

    def _why_more(self) -> str:
        """Say what more alarms may come from: scores without labels cannot tell."""
        if self.below and self.below.p_value < self.alpha:
            return (
                "the scores below it have moved as well, so it is normal samples that have changed "
                "or anomalies below it; calibrate again on samples that are known to be normal."
            )
        return (
            "the scores below it are as they were, so there are more anomalies or a new kind of "
            "normal sample, which scores cannot tell apart: look at the alarms."
        )

    def _features(self) -> list[str]:
        named = [f"{name} ({value:+.2f})" for name, value in list(self.features.items())[:SAID]]
        if not named:
            return []
        return [f"Furthest from their usual error, in standard deviations: {', '.join(named)}."]
