"""Hold every calibrator's promise against real scores: writes docs/thresholds.md.

    python scripts/false_alarms.py             # after scripts/results.py, whose scores it takes

Normal scores of calibration, tuning and test are pooled and cut anew 200 times, into a calibration
part and the rest, on which the share of false alarms is counted.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from hourglass.detection.calibrators import EVT, MAD, Calibrator, Conformal, KSigma, Quantile

ROOT = Path(__file__).parents[1]
CELLS = {"mnist/undercomplete": 2000, "credit_card/undercomplete": 1000}  # calibration samples
SPLITS, DELTA = 200, 0.1
RARE = 0.001


def main() -> None:
    """Count and write the page."""
    rows = [row for cell, n in CELLS.items() for row in _rows(cell, n)]
    text = "# Thresholds: what was promised, and what came of it\n\n"
    text += f"Made by `python scripts/false_alarms.py`: {SPLITS} random calibration parts of real "
    text += "normal scores.\n`within`: the mean realised rate is below alpha, or no more than two "
    text += "standard errors of the mean above it;\nfor a calibrator with a delta, "
    text += (
        f"the share of calibrations above alpha is {DELTA} at most (and two standard errors).\n\n"
    )
    text += pd.DataFrame(rows).to_markdown(index=False, floatfmt=".4f") + "\n\n"
    text += f"## A false alarm in a thousand, from {CELLS['mnist/undercomplete']:,} scores\n\n"
    text += pd.DataFrame(_rare("mnist/undercomplete")).to_markdown(index=False, floatfmt=".5f")
    (ROOT / "docs" / "thresholds.md").write_text(f"{text}\n", encoding="utf-8")
    print(text)


def _calibrators(alpha: float) -> list[Calibrator]:
    from scipy.stats import norm

    k = float(norm.isf(alpha))  # as many standard deviations as a normal distribution asks for
    return [
        Conformal(alpha),
        Conformal(alpha, DELTA),
        Quantile(1 - alpha),
        EVT(alpha, 0.8),
        KSigma(k),
        MAD(k),
    ]


def _rows(cell: str, n: int) -> Iterator[dict[str, object]]:
    scores = _normal_scores(cell)
    for alpha in (0.01, 0.05, 0.1):
        for calibrator in _calibrators(alpha):
            rates = _rates(calibrator, scores, n)
            error, above = rates.std(ddof=1) / SPLITS**0.5, float((rates > alpha).mean())
            conditional = getattr(calibrator, "delta", None) is not None
            excess = 2 * (DELTA * (1 - DELTA) / SPLITS) ** 0.5
            held = above <= DELTA + excess if conditional else rates.mean() <= alpha + 2 * error
            yield {
                "scores": cell,
                "n": n,
                "alpha": alpha,
                "calibrator": calibrator.method + (f", delta {DELTA}" if conditional else ""),
                "realised rate": rates.mean(),
                "standard error": error,
                "calibrations above alpha": above,
                "within": "yes" if held else "no",
            }


def _rare(cell: str) -> Iterator[dict[str, object]]:
    scores = _normal_scores(cell)
    for calibrator in (EVT(RARE, 0.9), Quantile(1 - RARE), Conformal(RARE)):
        rates = _rates(calibrator, scores, CELLS[cell])
        yield {
            "calibrator": calibrator.method,
            "realised rate": rates.mean(),
            "mean absolute error of the rate": np.abs(rates - RARE).mean(),
        }


def _normal_scores(cell: str) -> np.ndarray:
    table = pd.read_parquet(ROOT / "build/results/runs" / cell / "evaluate/scores.parquet")
    chosen = table[~table.anomaly & table.split.isin(["calibration", "tuning", "test"])]
    return chosen.score.to_numpy()


def _rates(calibrator: Calibrator, scores: np.ndarray, n: int) -> np.ndarray:
    """Return the share of false alarms of each calibration, (SPLITS,)."""
    rng, rates = np.random.default_rng(0), []
    for _ in range(SPLITS):
        mixed = rng.permutation(scores)
        rates.append(calibrator(mixed[:n])(mixed[n:]).mean())
    return np.array(rates)


if __name__ == "__main__":
    main()
