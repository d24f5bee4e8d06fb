"""Count the false alarms of thresholds from folds of few normal samples, on ADBench tables.

    python scripts/cross_conformal.py --data DIR [--sets 14_glass 6_cardio] [--splits 50]

Per set and split, `Autoencoder` is fitted to a few random normal rows, too few for a calibration
split at this alpha. The share of false alarms is counted on all other normal rows, for the
threshold from folds and for the one from the calibration split alone, its highest score.
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from hourglass import Autoencoder

SETS = ("14_glass", "42_WBC", "46_WPBC", "18_Ionosphere", "4_breastw", "40_vowels", "6_cardio")
FITTED = {0.05: 40, 0.01: 120}  # normal rows by alpha; a fifth of them is the calibration split
EPOCHS = 20


def main() -> None:
    """Print a table with one row per set and alpha, and the means over the sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the .npz files")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--splits", type=int, default=50)
    arguments = parser.parse_args()
    rows = []
    for alpha, fitted in FITTED.items():
        for name in arguments.sets:
            with np.load(arguments.data / f"{name}.npz", allow_pickle=False) as file:
                normal = np.unique(file["X"][file["y"] == 0], axis=0)
            rates = np.array([*_rates(normal, fitted, alpha, arguments.splits)])
            rows.append({"set": name, "alpha": alpha, "rows": fitted, **_summary(rates)})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    means = table.groupby("alpha")[["folds", "calibration split"]].mean()
    print(table.to_markdown(index=False, floatfmt=".4f"))
    print(means.to_markdown(floatfmt=".4f"))


def _rates(x: np.ndarray, fitted: int, alpha: float, splits: int) -> Iterator[list[float]]:
    """Yield the shares of false alarms of both thresholds, per split."""
    for seed in range(splits):
        mixed = np.random.default_rng(seed).permutation(x)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*calibration samples")  # as alpha can be kept
            warnings.filterwarnings("ignore", category=ConvergenceWarning)
            model = Autoencoder("denoising", alpha=alpha, random_state=seed, max_epochs=EPOCHS)
            model.fit(mixed[:fitted])
        detector = model.detector_
        assert detector.threshold.method == "cross_conformal"
        scores = model.anomaly_score(mixed[fitted:])
        own = detector.calibration_scores[: round(model.calibration_fraction * fitted)]
        yield [detector.threshold(scores).mean(), (scores > own.max()).mean()]


def _summary(rates: np.ndarray) -> dict[str, float]:
    errors = rates.std(0, ddof=1) / np.sqrt(len(rates))
    return {
        "folds": rates[:, 0].mean(),
        "standard error": errors[0],
        "calibration split": rates[:, 1].mean(),
    }


if __name__ == "__main__":
    main()
