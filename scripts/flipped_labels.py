"""Flip 1 % of the labels and measure how many `hourglass label-errors` finds.

    python scripts/flipped_labels.py     # needs HOURGLASS_DATA; ten minutes on two cores

Writes docs/benchmarks/label_errors.md. Works in build/label_errors. A flipped label is a random
other class.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from common import ROOT, argument_parser, enter, prepare_missing, timed, write_page

from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Encoding
from hourglass.evaluation.baselines import pca
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

REPEATS = {"mnist": 1, "fashion_mnist": 1, "digits": 5}  # digits has 14 labels to flip
SHARE, FOLDS, COMPONENTS, MODEL = 0.01, 3, 16, "undercomplete"
TOPS = (0.01, 0.02, 0.05)


def main() -> None:
    """Measure the rankings and write the page."""
    argument_parser(__doc__).parse_args()
    enter(ROOT / "build" / "label_errors")
    rows = [row for data, repeats in REPEATS.items() for row in _rows(data, repeats)]
    text = f"""# Label errors: flipped and found labels

Made by `python scripts/flipped_labels.py`, which flips {SHARE:.0%} of the labels of normal
samples to another class, seeds from 0. `top 1%`: the share of these labels in the first 1 % of
the ranking. The first row of a data set is the method of `hourglass label-errors`. `seconds`: one
ranking on one busy core. `digits` has five repeats, because only 14 labels are flipped in each.

"""
    formats = ("", "", "", "", *[".3f"] * len(TOPS), ".0f")
    text += pd.DataFrame(rows).to_markdown(index=False, floatfmt=formats)
    write_page(ROOT / "docs/benchmarks/label_errors.md", f"{text}\n")


def _rows(data: str, repeats: int) -> Iterator[dict[str, object]]:
    """Yield one row per method, with shares averaged over the repeats."""
    prepare_missing(data)
    prepared = Prepared.open(prepared_folder(data))
    settings = resolve_cell(Cell(data, MODEL), prepared.input_shape, len(prepared.x("train")))
    by_method: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(repeats):
        samples, flipped = _flip(read_labelled_dataset(prepared), seed)
        for method, score, duration in _measure(settings, samples, prepared.scaling):
            by_method.setdefault(method, []).append((*_shares(score, flipped), duration))
    for method, results in by_method.items():
        means = np.mean(results, axis=0)
        row = {"data": data, "method": method, "samples": len(flipped)}
        row["flipped"] = int(flipped.sum()) * repeats
        yield row | dict(zip([f"top {top:.0%}" for top in TOPS] + ["seconds"], means, strict=True))


def _flip(samples: LabelledDataset, seed: int) -> tuple[LabelledDataset, np.ndarray]:
    """Return the samples with some labels flipped, and a mask of the flipped ones, (N,)."""
    rng, classes = np.random.default_rng(seed), len(samples.classes)
    flipped = np.zeros(len(samples.y), bool)
    flipped[rng.choice(len(flipped), round(SHARE * len(flipped)), replace=False)] = True
    other = (samples.y + rng.integers(1, classes, len(flipped))) % classes
    return replace(samples, y=np.where(flipped, other, samples.y)), flipped


def _shares(score: np.ndarray, flipped: np.ndarray) -> list[float]:
    order = np.argsort(-score, kind="stable")
    return [float(flipped[order[: round(top * len(order))]].sum() / flipped.sum()) for top in TOPS]


def _measure(
    settings: CellSettings, samples: LabelledDataset, scaling: Encoding
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield the name of each method, the scores of its ranking, and its seconds."""
    y, rows = samples.y, np.arange(len(samples.y))
    methods: dict[str, Callable[[], np.ndarray]] = {
        MODEL: lambda: errors_under_classes(settings, samples, scaling, FOLDS),
        f"{MODEL}, trained on all folds": lambda: _without_folds(
            samples, class_network_fit(settings, scaling)
        ),
        f"PCA, {COMPONENTS} components": lambda: _pca(samples, scaling, settings.seed),
    }
    for name, method in methods.items():
        errors, duration = timed(method)
        yield name, label_suspicion(errors, y)[0], duration
        yield f"{name}: error under the given class alone", errors[rows, y], duration


def _without_folds(samples: LabelledDataset, fit: Fit) -> np.ndarray:
    """Return the errors under networks trained on all samples of their class."""
    classes = range(len(samples.classes))
    return np.stack([fit(samples.x[samples.y == each])(samples.x) for each in classes], axis=1)


def _pca(samples: LabelledDataset, scaling: Encoding, seed: int) -> np.ndarray:
    """Return the errors under the principal components of each class, cross-fitted."""
    errors = np.empty((len(samples.y), len(samples.classes)))
    fold = assign_folds(samples.y, FOLDS, seed)
    x = scaling(samples.x).reshape(len(samples.y), -1)
    fit = lambda members: pca(members, COMPONENTS)  # noqa: E731
    for held_out, label, error in cross_fitted_errors(x, samples.y, fold, fit):
        errors[held_out, label] = error
    return errors


if __name__ == "__main__":
    main()
