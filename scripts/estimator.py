"""Measure the fit of `hourglass.Autoencoder` and its AUROC against scikit-learn's detectors.

    python scripts/estimator.py
    python scripts/estimator.py --tables ADBENCH/28_pendigits.npz ADBENCH/38_thyroid.npz

Without tables: the seconds of a fit of 6,000 rows of 29 features after import, and of a bare
PyTorch loop that makes the same steps. With tables (.npz, X and y, 1 for anomalies): the AUROC on
half of the normal rows and all anomalies, of detectors fitted to the other half, the mean of three
seeds.
"""

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bare_loops import train_bare
from common import argument_parser
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from hourglass import Autoencoder
from hourglass.api.settings import estimator_settings
from hourglass.training.in_memory import preserved_globals
from hourglass.training.trainer import build_module

ROWS, FEATURES, ROUNDS, SEEDS = 6000, 29, 5, 3
MAX_ROWS = 6000  # of normal rows to fit, and to evaluate
DETECTORS: dict[str, Callable[[int], Any]] = {
    "Autoencoder": lambda seed: Autoencoder(random_state=seed),
    "IsolationForest": lambda seed: IsolationForest(random_state=seed),
    "LocalOutlierFactor": lambda seed: make_pipeline(
        StandardScaler(), LocalOutlierFactor(novelty=True)
    ),
    "OneClassSVM": lambda seed: make_pipeline(StandardScaler(), OneClassSVM()),
}


def main() -> None:
    """Print the seconds, or the AUROC of every table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--tables", nargs="+", type=Path, default=[])
    tables = parser.parse_args().tables
    warnings.simplefilter("ignore")
    measure_accuracy(tables) if tables else measure_speed()


def measure_speed() -> None:
    """Print wall and CPU seconds of the first fit, and medians of later ones and of bare loops."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES)) @ rng.normal(size=(FEATURES, FEATURES))
    estimator = Autoencoder()
    first = timed(estimator.fit, x)
    epochs, rows = len(estimator.history_), round(0.7 * ROWS)
    kind, settings = estimator_settings(
        "denoising", (rows, FEATURES), init_args={}, training={}, trainer={}, seed=0
    )
    scaled = torch.from_numpy(((x - x.mean(0)) / x.std(0)).astype(np.float32))
    module = build_module(kind, settings, "bare loop")
    batch_size = settings.training.batch_size
    fits, loops = [], []
    with preserved_globals():
        torch.set_num_threads(1)
    for _ in range(ROUNDS):  # in turns, as the load of the machine changes
        fits.append(timed(estimator.fit, x))
        held_out = scaled[rows : rows + ROWS // 10]
        loops.append(timed(train_bare, module, scaled[:rows], held_out, batch_size, epochs))
    (wall, cpu), (bare_wall, bare_cpu) = (np.median(times, 0) for times in (fits, loops))
    print(f"{epochs} epochs of {-(-rows // batch_size)} steps; seconds of wall clock and of CPU")
    print(f"first fit  {first[0]:.2f}  {first[1]:.2f}")
    print(f"fit        {wall:.2f}  {cpu:.2f}")
    print(f"bare loop  {bare_wall:.2f}  {bare_cpu:.2f}")
    print(f"ratio      {wall / bare_wall:.2f}  {cpu / bare_cpu:.2f}")


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[float, float]:
    """Return the wall-clock and the CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu


def measure_accuracy(tables: list[Path]) -> None:
    """Print the AUROC of every detector on every table, and the means."""
    print(f"{'table':20}", *(f"{name:>20}" for name in DETECTORS))
    means = []
    for path in tables:
        row = np.mean([aurocs(path, seed) for seed in range(SEEDS)], 0)
        print(f"{path.stem:20}", *(f"{value:20.4f}" for value in row), flush=True)
        means.append(row)
    print(f"{'mean':20}", *(f"{value:20.4f}" for value in np.mean(means, 0)))


def aurocs(path: Path, seed: int) -> list[float]:
    """Return the AUROC of every detector on a table."""
    with np.load(path, allow_pickle=False) as file:
        x, anomaly = file["X"].astype(np.float32), file["y"].astype(bool)
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(~anomaly))
    half = min(len(normal) // 2, MAX_ROWS)
    held_out = np.concatenate([normal[half : half + MAX_ROWS], np.flatnonzero(anomaly)])
    train, test, y = x[normal[:half]], x[held_out], anomaly[held_out]
    detectors = (make(seed).fit(train) for make in DETECTORS.values())
    return [roc_auc_score(y, -detector.score_samples(test)) for detector in detectors]


if __name__ == "__main__":
    main()
