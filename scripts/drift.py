"""Evaluate the drift tests on real scores with and without drift; writes docs/benchmarks/drift.md.

    python scripts/drift.py                    # after scripts/results.py, on its cells

Without drift, normal scores of the calibration, tuning and test splits are pooled and split at
random into a calibration part and a stream; every alarm is false. With drift, the stream changes
after its first CHANGE_POINT samples: digits are rotated, or some samples are anomalies.
"""

import os
from collections.abc import Iterator

import numpy as np
import pandas as pd
from common import ROOT, argument_parser, write_page
from scipy.ndimage import rotate

from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.detection.calibrators import Conformal
from hourglass.detection.detector import Detector
from hourglass.detection.drift.alarm_rate import AlarmRateCheck
from hourglass.detection.drift.detection import Difference
from hourglass.detection.drift.martingale import first_alarm, log_martingale, online_p_values

# Calibration samples per cell.
CELLS = {Cell("mnist", "undercomplete"): 2000, Cell("credit_card", "undercomplete"): 1000}
SPLITS_WITHOUT_DRIFT, SPLITS_WITH_DRIFT = 200, 20  # the latter per kind of drift
STREAM_SAMPLES, CHANGE_POINT = 2000, 500
ALPHA = 0.01
ROTATIONS_DEGREES = (10, 20, 30)
ANOMALY_SHARES = (0.02, 0.05, 0.1)


def main() -> None:
    """Simulate streams and write the page."""
    argument_parser(__doc__).parse_args()
    os.chdir(ROOT / "build/results")
    stable = pd.DataFrame([row for cell, n in CELLS.items() for row in _without_drift(cell, n)])
    drifting = pd.DataFrame([row for cell, n in CELLS.items() for row in _with_drift(cell, n)])
    text = f"""# Drift: false alarms and detection delay

Made by `python scripts/drift.py` from the real scores of trained cells.

## Without drift

The share of false alarms of each test in {SPLITS_WITHOUT_DRIFT} random splits into calibration
scores and a stream of the other normal ones, at most {STREAM_SAMPLES:,} samples: the martingale at
any time, the Kolmogorov-Smirnov test once at the end, and the check of the alarm rate of a
conformal threshold. Each share should be at most alpha, up to two standard errors.

{stable.to_markdown(index=False, floatfmt=".3f")}

## With drift

The stream changes after {CHANGE_POINT} samples; alpha is {ALPHA}. `found` is the share of
{SPLITS_WITH_DRIFT} splits in which the martingale alarms after the change, `median delay` the
number of samples until then; `more` and `fewer` are the shares of splits in which the check of the
alarm rate reports more or fewer alarms than promised, over the whole stream.

{drifting.to_markdown(index=False, floatfmt=".3f")}
"""
    write_page(ROOT / "docs/benchmarks/drift.md", text)


def _without_drift(cell: Cell, n: int) -> Iterator[dict[str, object]]:
    scores, rng = _scores(cell)["normal"], np.random.default_rng(0)
    capitals, p_values, splits = [], [], []
    for seed in range(SPLITS_WITHOUT_DRIFT):
        mixed = rng.permutation(scores)[: n + STREAM_SAMPLES]
        before, now = mixed[:n], mixed[n:]
        difference = Difference.of(before, now)
        assert difference
        capitals.append(log_martingale(online_p_values(before, now, seed)))
        p_values.append(difference.p_value)
        splits.append((before, now))
    for alpha in (0.01, 0.05, 0.1, 0.2):
        yield {
            "cell": cell.name,
            "calibration": n,
            "stream": len(mixed) - n,
            "alpha": alpha,
            "two standard errors": 2 * (alpha * (1 - alpha) / SPLITS_WITHOUT_DRIFT) ** 0.5,
            "martingale": np.mean([first_alarm(each, alpha) is not None for each in capitals]),
            "Kolmogorov-Smirnov": np.mean([each < alpha for each in p_values]),
            "rate of alarms": np.mean(
                [_rate_verdict(*each, alpha) in ("more", "fewer") for each in splits]
            ),
        }


def _rate_verdict(before: np.ndarray, now: np.ndarray, alpha: float) -> str:
    return AlarmRateCheck.of(Conformal(0.05)(before), before, now, alpha).verdict


def _with_drift(cell: Cell, n: int) -> Iterator[dict[str, object]]:
    scores, rng = _scores(cell), np.random.default_rng(1)
    normal = scores.pop("normal")
    for kind, others in scores.items():
        for share in ANOMALY_SHARES if kind == "anomalies" else (1.0,):
            runs = [_drift(normal, others, share, n, rng) for _ in range(SPLITS_WITH_DRIFT)]
            delays = [delay for delay, _ in runs if delay is not None and delay >= 0]
            yield {
                "cell": cell.name,
                "change": f"{share:.0%} {kind}" if share < 1 else kind,
                "found": len(delays) / SPLITS_WITH_DRIFT,
                "median delay": float(np.median(delays)) if delays else float("nan"),
                "more": np.mean([verdict == "more" for _, verdict in runs]),
                "fewer": np.mean([verdict == "fewer" for _, verdict in runs]),
            }


def _drift(
    normal: np.ndarray, others: np.ndarray, share: float, n: int, rng: np.random.Generator
) -> tuple[int | None, str]:
    """Return the delay of the alarm, negative for a false one, and the alarm rate's verdict."""
    mixed = rng.permutation(normal)[: n + STREAM_SAMPLES]
    before, now = mixed[:n], mixed[n:].copy()
    chosen = np.flatnonzero(rng.random(len(now)) < share)
    chosen = chosen[chosen >= CHANGE_POINT]
    now[chosen] = rng.choice(others, len(chosen))
    alarm = first_alarm(log_martingale(online_p_values(before, now, 0)), ALPHA)
    delay = None if alarm is None else alarm - CHANGE_POINT
    return delay, _rate_verdict(before, now, ALPHA)


def _scores(cell: Cell) -> dict[str, np.ndarray]:
    """Return the scores of normal samples, anomalies and rotated digits."""
    table = pd.read_parquet(cell / "evaluate/scores.parquet")
    table = table[table.split.isin(["calibration", "tuning", "test"])]
    scores = {
        "normal": table.score[~table.anomaly].to_numpy(),
        "anomalies": table.score[table.anomaly].to_numpy(),
    }
    if cell.data == "mnist":
        test, scoring = Prepared.open(cell.prepared).split("test"), Detector.of_cell(cell).scoring
        images = np.array(test.x[~test.anomaly][:3000])
        for angle in ROTATIONS_DEGREES:
            rotated = rotate(images, angle, axes=(2, 3), reshape=False, order=1)
            scores[f"digits rotated by {angle} degrees"] = scoring(rotated)
    return scores


if __name__ == "__main__":
    main()
