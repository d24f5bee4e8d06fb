"""Compare the false alarms of calibrators with their promise; writes docs/benchmarks/thresholds.md.

    python scripts/false_alarms.py             # after scripts/results.py, on its scores

Normal scores of calibration, tuning and test are pooled and split at random 200 times into a
calibration part and the rest, on which the share of false alarms is counted.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from common import ROOT, argument_parser, write_page

from hourglass.detection.calibrators import EVT, MAD, Calibrator, Conformal, KSigma, Quantile

CELLS = {"mnist/undercomplete": 2000, "credit_card/undercomplete": 1000}  # calibration samples
SPLITS, DELTA = 200, 0.1
RARE_ALPHA = 0.001


def main() -> None:
    """Count false alarms and write the page."""
    argument_parser(__doc__).parse_args()
    rows = [row for cell, n in CELLS.items() for row in _rows(cell, n)]
    text = "# Thresholds: promised and realised false-alarm rates\n\n"
    text += f"Made by `python scripts/false_alarms.py`: {SPLITS} random calibration parts of real "
    text += "normal scores.\n`within`: the mean realised rate is at most two standard errors above "
    text += "alpha;\nfor a calibrator with a delta, the share of calibrations above alpha is at "
    text += f"most {DELTA} plus two standard errors.\n\n"
    text += pd.DataFrame(rows).to_markdown(index=False, floatfmt=".4f") + "\n\n"
    text += f"## A false alarm in a thousand, from {CELLS['mnist/undercomplete']:,} scores\n\n"
    text += pd.DataFrame(_rare("mnist/undercomplete")).to_markdown(index=False, floatfmt=".5f")
    write_page(ROOT / "docs/benchmarks/thresholds.md", f"{text}\n")


def _calibrators(alpha: float) -> list[Calibrator]:
    from scipy.stats import norm

    k = float(norm.isf(alpha))  # the standard deviations that suit a normal distribution
    conformal = [Conformal(alpha), Conformal(alpha, DELTA)]
    return [*conformal, Quantile(1 - alpha), EVT(alpha, 0.8), KSigma(k), MAD(k)]


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
    for calibrator in (EVT(RARE_ALPHA, 0.9), Quantile(1 - RARE_ALPHA), Conformal(RARE_ALPHA)):
        rates = _rates(calibrator, scores, CELLS[cell])
        yield {
            "calibrator": calibrator.method,
            "realised rate": rates.mean(),
            "mean absolute error of the rate": np.abs(rates - RARE_ALPHA).mean(),
        }


def _normal_scores(cell: str) -> np.ndarray:
    table = pd.read_parquet(ROOT / "build/results/runs" / cell / "evaluate/scores.parquet")
    chosen = table[~table.anomaly & table.split.isin(["calibration", "tuning", "test"])]
    return chosen.score.to_numpy()


def _rates(calibrator: Calibrator, scores: np.ndarray, n: int) -> np.ndarray:
    """Return the share of false alarms per split, (SPLITS,)."""
    rng, rates = np.random.default_rng(0), []
    for _ in range(SPLITS):
        mixed = rng.permutation(scores)
        rates.append(calibrator(mixed[:n])(mixed[n:]).mean())
    return np.array(rates)


if __name__ == "__main__":
    main()
