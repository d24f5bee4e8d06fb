"""Flip one label in a hundred and count how many `hourglass label-errors` finds: docs/suspects.md.

    python scripts/flipped_labels.py     # needs HOURGLASS_DATA; some ten minutes on two cores

Works in build/suspects, a workspace of its own. Every flipped label is another class at random.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared import Prepared
from hourglass.data.scaling import Scaling
from hourglass.evaluation.baselines import pca
from hourglass.stages.prepare import prepare
from hourglass.studies.label_errors.class_networks import class_network_fit, errors_under_classes
from hourglass.studies.label_errors.ranking import (
    Fit,
    LabelledDataset,
    assign_folds,
    cross_fitted_errors,
    label_suspicion,
    read_labelled_dataset,
)
from hourglass.training.cell_settings import CellSettings, resolve_cell

ROOT = Path(__file__).parents[1]
REPEATS = {"mnist": 1, "fashion_mnist": 1, "digits": 5}  # digits has 14 labels to flip
SHARE, FOLDS, COMPONENTS, MODEL = 0.01, 3, 16, "undercomplete"
TOPS = (0.01, 0.02, 0.05)


def main() -> None:
    """Measure and write the page."""
    _workspace()
    rows = [row for data, repeats in REPEATS.items() for row in _rows(data, repeats)]
    text = "# Mislabelled samples: what was flipped, and what was found\n\n"
    text += f"Made by `python scripts/flipped_labels.py`: {SHARE:.0%} of the labels of all normal "
    text += "samples (of MNIST the\n60,000 train and 10,000 test images) are flipped to another "
    text += "class, seeds from 0. `top 1%` and so on:\nthe share of the flipped ones in that part "
    text += "of the ranking. The first row of a data set is what\n`hourglass label-errors` does; "
    text += "`seconds` is one ranking on one busy core; `flipped`\ncounts those of five "
    text += "repeats of digits, which has only 14 to flip.\n\n"
    formats = ("", "", "", "", *[".3f"] * len(TOPS), ".0f")
    text += pd.DataFrame(rows).to_markdown(index=False, floatfmt=formats)
    (ROOT / "docs" / "suspects.md").write_text(f"{text}\n", encoding="utf-8")
    print(text)


def _workspace() -> None:
    folder = ROOT / "build" / "suspects"
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    shutil.copytree(ROOT / "configs", "configs", dirs_exist_ok=True)
    shutil.copy(ROOT / "params.yaml", ".")


def _rows(data: str, repeats: int) -> Iterator[dict[str, object]]:
    """Yield a row a method, its shares the means over the repeats."""
    prepare(data)
    prepared = Prepared.open(prepared_folder(data))
    settings = resolve_cell(Cell(data, MODEL), prepared.sample_shape)
    found: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(repeats):
        samples, flipped = _flip(read_labelled_dataset(prepared), seed)
        for method, score, seconds in _measured(settings, samples, prepared.scaling):
            found.setdefault(method, []).append((*_shares(score, flipped), seconds))
    for method, results in found.items():
        means = np.mean(results, axis=0)
        row = {"data": data, "method": method, "samples": len(flipped)}
        row["flipped"] = int(flipped.sum()) * repeats
        yield row | dict(zip([f"top {top:.0%}" for top in TOPS] + ["seconds"], means, strict=True))


def _flip(samples: LabelledDataset, seed: int) -> tuple[LabelledDataset, np.ndarray]:
    """Return the samples with some labels flipped, and which: (N,) bool."""
    rng, classes = np.random.default_rng(seed), len(samples.classes)
    flipped = np.zeros(len(samples.y), bool)
    flipped[rng.choice(len(flipped), round(SHARE * len(flipped)), replace=False)] = True
    other = (samples.y + rng.integers(1, classes, len(flipped))) % classes
    return replace(samples, y=np.where(flipped, other, samples.y)), flipped


def _shares(score: np.ndarray, flipped: np.ndarray) -> list[float]:
    order = np.argsort(-score, kind="stable")
    return [float(flipped[order[: round(top * len(order))]].sum() / flipped.sum()) for top in TOPS]


def _measured(
    settings: CellSettings, samples: LabelledDataset, scaling: Scaling
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield methods, the scores they rank by, and how many seconds they took."""
    y, rows = samples.y, np.arange(len(samples.y))
    ways: dict[str, Callable[[], np.ndarray]] = {
        MODEL: lambda: errors_under_classes(settings, samples, scaling, FOLDS),
        f"{MODEL}, trained on all folds": lambda: _without_folds(
            samples, class_network_fit(settings, scaling)
        ),
        f"PCA, {COMPONENTS} components": lambda: _pca(samples, scaling, settings.seed),
    }
    for name, measure in ways.items():
        start = time.perf_counter()
        errors = measure()
        seconds = time.perf_counter() - start
        yield name, label_suspicion(errors, y)[0], seconds
        yield f"{name}: error under the given class alone", errors[rows, y], seconds


def _without_folds(samples: LabelledDataset, fit: Fit) -> np.ndarray:
    """Return the errors under networks that were trained on every sample of their class."""
    classes = range(len(samples.classes))
    return np.stack([fit(samples.x[samples.y == each])(samples.x) for each in classes], axis=1)


def _pca(samples: LabelledDataset, scaling: Scaling, seed: int) -> np.ndarray:
    """Return the errors under the principal components of each class, cross-fitted."""
    errors = np.empty((len(samples.y), len(samples.classes)))
    fold = assign_folds(samples.y, FOLDS, seed)
    x = scaling(samples.x).reshape(len(samples.y), -1)
    for judged, each, found in cross_fitted_errors(
        x, samples.y, fold, lambda members: pca(members, COMPONENTS)
    ):
        errors[judged, each] = found
    return errors


if __name__ == "__main__":
    main()
