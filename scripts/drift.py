"""Hold `hourglass drift` against real scores, with drift and without: writes docs/drift.md.

    python scripts/drift.py                    # after scripts/results.py, whose cells it takes

Without drift, normal scores of the calibration, tuning and test splits are pooled and cut anew,
into a calibration part and a stream; an alarm is a false one. With drift the stream changes after
its first BEFORE samples: digits are turned, or some samples are anomalies from then on.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import rotate

from hourglass.core.paths import Cell
from hourglass.data.prepared import Prepared
from hourglass.detection.calibrators import Conformal
from hourglass.detection.detector import Detector
from hourglass.detection.drift.alarm_rate import AlarmRateCheck
from hourglass.detection.drift.martingale import first_alarm, log_martingale, online_p_values
from hourglass.detection.drift.report import Difference

ROOT = Path(__file__).parents[1]
CELLS = {Cell("mnist", "undercomplete"): 2000, Cell("credit_card", "undercomplete"): 1000}
TIMES, DRIFTS = 200, 20  # cuts without drift, and with each kind of it
STREAM, BEFORE = 2000, 500
ALPHA = 0.01
TURNED = (10, 20, 30)  # degrees
MIXED = (0.02, 0.05, 0.1)  # shares of anomalies


def main() -> None:
    """Simulate, and write the page."""
    os.chdir(ROOT / "build/results")
    calm = pd.DataFrame([row for cell, n in CELLS.items() for row in _without(cell, n)])
    wild = pd.DataFrame([row for cell, n in CELLS.items() for row in _with(cell, n)])
    text = f"""# Drift: false alarms, and how soon a change is found

Made by `python scripts/drift.py` of the real scores of trained cells.

## Without drift

Of {TIMES} random cuts into calibration scores and a stream of the other normal ones, at most
{STREAM:,} samples, the share in which each test alarms, wrongly: the martingale at any moment, the
Kolmogorov-Smirnov test once at the end, and the rate of alarms against the promise of a conformal
threshold. Each should be alpha at most, up to two standard errors of {TIMES} tries.

{calm.to_markdown(index=False, floatfmt=".3f")}

## With drift

The stream changes after {BEFORE} samples; alpha is {ALPHA}. `found` is the share of {DRIFTS} cuts
in which the martingale alarms after the change, the delay the median number of samples until then;
`more` and `fewer` are the shares in which the threshold is said to alarm so, over all the stream.

{wild.to_markdown(index=False, floatfmt=".3f")}
"""
    (ROOT / "docs/drift.md").write_text(text, encoding="utf-8")
    print(text)


def _without(cell: Cell, n: int) -> Iterator[dict[str, object]]:
    scores, rng = _scores(cell)["normal"], np.random.default_rng(0)
    found = []
    for seed in range(TIMES):
        mixed = rng.permutation(scores)[: n + STREAM]
        found.append(_tests(mixed[:n], mixed[n:], seed))
    for alpha in (0.01, 0.05, 0.1, 0.2):
        yield {
            "cell": cell.name,
            "calibration": n,
            "stream": len(mixed) - n,
            "alpha": alpha,
            "two standard errors": 2 * (alpha * (1 - alpha) / TIMES) ** 0.5,
            "martingale": np.mean([first_alarm(each[0], alpha) is not None for each in found]),
            "Kolmogorov-Smirnov": np.mean([each[1] < alpha for each in found]),
            "rate of alarms": np.mean([_broken(each[2], each[3], alpha) for each in found]),
        }


def _tests(
    before: np.ndarray, now: np.ndarray, seed: int
) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    difference = Difference.of(before, now)
    assert difference
    capital = log_martingale(online_p_values(before, now, seed))
    return capital, difference.p_value, before, now


def _broken(before: np.ndarray, now: np.ndarray, alpha: float) -> bool:
    found = AlarmRateCheck.of(Conformal(0.05)(before), before, now, alpha)
    return found.verdict in ("more", "fewer")


def _with(cell: Cell, n: int) -> Iterator[dict[str, object]]:
    scores, rng = _scores(cell), np.random.default_rng(1)
    normal = scores.pop("normal")
    for kind, others in scores.items():
        for share in MIXED if kind == "anomalies" else (1.0,):
            runs = [_changed(normal, others, share, n, rng) for _ in range(DRIFTS)]
            delays = [delay for delay, _ in runs if delay is not None and delay >= 0]
            yield {
                "cell": cell.name,
                "change": f"{share:.0%} {kind}" if share < 1 else kind,
                "found": len(delays) / DRIFTS,
                "median delay": float(np.median(delays)) if delays else float("nan"),
                "more": np.mean([verdict == "more" for _, verdict in runs]),
                "fewer": np.mean([verdict == "fewer" for _, verdict in runs]),
            }


def _changed(
    normal: np.ndarray, others: np.ndarray, share: float, n: int, rng: np.random.Generator
) -> tuple[int | None, str]:
    """Return the delay of the alarm, negative for a false one, and the threshold's verdict."""
    mixed = rng.permutation(normal)[: n + STREAM]
    before, now = mixed[:n], mixed[n:].copy()
    chosen = np.flatnonzero(rng.random(len(now)) < share)
    chosen = chosen[chosen >= BEFORE]
    now[chosen] = rng.choice(others, len(chosen))
    alarm = first_alarm(log_martingale(online_p_values(before, now, 0)), ALPHA)
    verdict = AlarmRateCheck.of(Conformal(0.05)(before), before, now, ALPHA).verdict
    return (None if alarm is None else alarm - BEFORE), verdict


def _scores(cell: Cell) -> dict[str, np.ndarray]:
    """Return scores of normal samples, of anomalies, and of what normal samples change to."""
    table = pd.read_parquet(cell / "evaluate/scores.parquet")
    table = table[table.split.isin(["calibration", "tuning", "test"])]
    found = {
        "normal": table.score[~table.anomaly].to_numpy(),
        "anomalies": table.score[table.anomaly].to_numpy(),
    }
    if cell.data == "mnist":
        test, scoring = (
            Prepared.open(cell.prepared).split("test"),
            Detector.of_cell(cell).scoring,
        )
        images = np.array(test.x[~test.anomaly][:3000])
        for angle in TURNED:
            turned = rotate(images, angle, axes=(2, 3), reshape=False, order=1)
            found[f"digits turned by {angle} degrees"] = scoring(turned)
    return found


if __name__ == "__main__":
    main()
