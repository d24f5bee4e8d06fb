"""The drift report: tests on a stream of scores, as JSON and as sentences."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

from hourglass.detection.detector import Detector
from hourglass.detection.drift.alarm_rate import AlarmRateCheck
from hourglass.detection.drift.column_drift import ColumnDrift, column_sentence
from hourglass.detection.drift.martingale import first_alarm, log_martingale, online_p_values
from hourglass.detection.drift.score_stream import ScoredStream

# The report names the features with the largest mean contributions.
MAX_FEATURES_IN_JSON, MAX_FEATURES_IN_SENTENCE = 10, 3


@dataclass(frozen=True)
class Difference:
    """A two-sample Kolmogorov-Smirnov test of calibration scores and new scores."""

    statistic: float  # the largest distance between the distribution functions
    p_value: float
    higher: bool  # at the largest distance, new scores tend to be higher

    @classmethod
    def of(cls, calibration: np.ndarray, scores: np.ndarray) -> "Difference | None":
        """Test two samples of scores; return None if either is empty."""
        if not (len(calibration) and len(scores)):
            return None
        test = ks_2samp(calibration, scores)
        return cls(float(test.statistic), float(test.pvalue), bool(test.statistic_sign > 0))


@dataclass(frozen=True)
class Drift:
    """The results of all drift tests on a stream.

    `alarm_at` and `positions` count the samples of the file from 1, of a series its blocks.
    """

    alpha: float
    samples: int
    skipped: int
    difference: Difference
    below: Difference | None  # the same test for the scores below the threshold
    log10_martingale: np.ndarray  # (m,) after each sample with a score
    positions: np.ndarray  # (m,) of these samples
    alarm_at: int | None
    alarm_rate: AlarmRateCheck
    features: dict[str, float]  # mean contribution per feature, in descending order
    columns: list[ColumnDrift]  # of a table, the largest difference first
    unit: str = "sample"  # that has a score; "block" of a series

    @classmethod
    def of(cls, detector: Detector, stream: ScoredStream, alpha: float, seed: int) -> "Drift":
        """Test the scores of a stream, in their order."""
        calibration, scored = detector.calibration_scores, np.isfinite(stream.scores)
        scores, positions = stream.scores[scored], np.flatnonzero(scored) + 1
        log_values = log_martingale(online_p_values(calibration, scores, seed))
        alarm = first_alarm(log_values, alpha)
        below = [values[~detector.threshold(values)] for values in (calibration, scores)]
        difference = Difference.of(calibration, scores)
        assert difference
        order = np.argsort(-stream.contributions, kind="stable")[:MAX_FEATURES_IN_JSON]
        return cls(
            alpha=alpha,
            samples=len(scores),
            skipped=int((~scored).sum()),
            difference=difference,
            below=Difference.of(*below),
            log10_martingale=log_values / math.log(10),
            positions=positions,
            alarm_at=None if alarm is None else int(positions[alarm]),
            alarm_rate=AlarmRateCheck.of(detector.threshold, calibration, scores, alpha),
            features={detector.feature_names[i]: float(stream.contributions[i]) for i in order},
            columns=stream.columns.drift(alpha),
            unit=stream.unit,
        )

    @property
    def detected(self) -> bool:
        """Return True if the martingale raises an alarm or the alarm rate has changed."""
        return self.alarm_at is not None or self.alarm_rate.verdict in ("more", "fewer")

    def to_json(self) -> dict[str, Any]:
        """Return the content of the JSON report: everything except the curve."""
        return {
            "samples": self.samples,
            "skipped": self.skipped,
            "alpha": self.alpha,
            "found": self.detected,
            "verdict": self.sentences(),
            "kolmogorov_smirnov": asdict(self.difference),
            "kolmogorov_smirnov_below_threshold": self.below and asdict(self.below),
            "martingale": {
                "alarm_at": self.alarm_at,
                "log10_alarm": -math.log10(self.alpha),
                "log10_largest": float(self.log10_martingale.max()),
                "log10_last": float(self.log10_martingale[-1]),
            },
            "threshold": asdict(self.alarm_rate),
            "mean_contributions": self.features,
            "columns": [column.to_json() for column in self.columns],
        }

    def sentences(self) -> list[str]:
        """Return the findings as sentences, the most important first."""
        return [
            self._martingale_sentence(),
            self._difference_sentence(),
            self._threshold_sentence(),
            *self._feature_sentences(),
            *([column_sentence(self.columns)] if self.columns else []),
        ]

    def _martingale_sentence(self) -> str:
        bound = f"{1 / self.alpha:.6g}"
        if self.alarm_at is None:
            largest = 10 ** min(float(self.log10_martingale.max()), 300)
            return f"No alarm: the martingale stays below {bound} (at most {largest:.3g})."
        return (
            f"Alarm: the martingale reaches {bound} at {self.unit} {self.alarm_at:,}; without "
            f"drift the probability of an alarm is at most {self.alpha:.6g}."
        )

    def _difference_sentence(self) -> str:
        direction = "higher" if self.difference.higher else "lower"
        return (
            f"Score distributions: Kolmogorov-Smirnov statistic {self.difference.statistic:.3f} "
            f"(p = {self.difference.p_value:.3g}), new scores are {direction}."
        )

    def _threshold_sentence(self) -> str:
        check = self.alarm_rate
        now, before = check.realised, check.calibrated
        rates = (
            f"{now.rate:.2%} of the {self.unit}s are alarms [{now.low:.2%}, {now.high:.2%}], "
            f"{check.promised:.2%} were expected [{before.low:.2%}, {before.high:.2%}]"
        )
        return {
            "holds": f"The threshold holds, if most {self.unit}s are normal: {rates}.",
            "too few": f"Too few {self.unit}s to test the threshold: {rates}.",
            "fewer": f"The threshold is now too high: {rates}; anomalies may be missed, "
            "so calibrate again on normal samples.",
            "more": f"The threshold does not hold: {rates}; {self._reason_for_more()}",
        }[check.verdict]

    def _reason_for_more(self) -> str:
        """Name the possible causes; scores without labels cannot distinguish them."""
        if self.below and self.below.p_value < self.alpha:
            return (
                "scores below the threshold have changed as well, so normal samples have changed, "
                "or there are anomalies below the threshold; calibrate again on normal samples."
            )
        return (
            "scores below the threshold have not changed, so there are more anomalies or a new "
            "kind of normal sample; inspect the alarms."
        )

    def _feature_sentences(self) -> list[str]:
        features = [*self.features.items()][:MAX_FEATURES_IN_SENTENCE]
        if not features:
            return []
        named = ", ".join(f"{name} ({value:+.2f})" for name, value in features)
        return [f"Largest mean excess loss, in standard deviations: {named}."]
