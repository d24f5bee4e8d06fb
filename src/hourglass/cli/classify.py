"""Command `classify`: test errors of classifiers on the codes of a trained cell."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from hourglass.core.atomic import atomic_file
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.data.prepared import Prepared
from hourglass.data.scaling import Scaling
from hourglass.studies.classification import sklearn_classifiers
from hourglass.studies.classification.labelled_splits import (
    LabelledSamples,
    LabelledSplits,
    read_labelled_splits,
)
from hourglass.studies.latent_space import encode_splits, flatten_splits
from hourglass.tracking.recorder import recording

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.networks import Network

Features: TypeAlias = Literal["pretrained", "random", "input"]
Classifier: TypeAlias = Literal["logistic", "svm", "knn", "softmax"]
# Features, a classifier, and the function from the number of labels to the test error.
Measurement: TypeAlias = tuple[Features, Classifier, Callable[[int], float]]
COLUMNS = ["features", "classifier", "labels", "test_error", "seconds"]


def classify(
    data: str,
    model: str,
    classifiers: Sequence[Classifier] = ("logistic", "svm", "knn", "softmax"),
    features: Sequence[Features] = ("pretrained", "random"),
    labels: Sequence[int] = (100, 1000, 10000),
    epochs: int = 30,
    learning_rate: float = 3e-3,
) -> Path:
    """Train classifiers on the codes of a trained cell and report their test errors.

    The classes are the labels of the normal samples. For comparison, the same network with random
    weights is measured too. Logistic regression, SVM and nearest neighbours use the codes as they
    are; softmax is trained together with the encoder. All labelled samples of validation and
    calibration select C and the epoch; those of test give the error. Writes
    runs/<data>/<model>/classification.csv: features, classifier, labels, test_error (share of 1),
    seconds (of training and testing).

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        classifiers: some of logistic, svm, knn and softmax
        features: some of pretrained, random and input (the samples themselves; not for softmax)
        labels: sizes of the nested training sets; all labels are always added
        epochs: maximum number of epochs for softmax
        learning_rate: learning rate of softmax and its encoder

    """
    cell = Cell(data, model)
    cell.need("train")
    from hourglass.networks.weights import trained_with

    prepared, folder = Prepared.open(cell.prepared), cell.output("train")
    seed = int(trained_with(folder)["seed"])
    splits = read_labelled_splits(prepared, seed)
    sizes = _training_sizes(labels, splits.train)
    networks = {name: _network(name, folder, seed) for name in features}
    chosen = list(dict.fromkeys(classifiers))
    softmax = None
    if "softmax" in chosen:
        softmax = _softmax_measurement(prepared.scaling, splits, epochs, learning_rate, seed)
    work = _measurements(networks, prepared.scaling, splits, chosen, softmax)
    with recording("classify", cell):
        table = _measure(cell, work, sizes)
    _print(cell, table)
    return cell / "classification.csv"


def _training_sizes(labels: Sequence[int], train: LabelledSamples) -> list[int]:
    """Return the sizes of the training sets in ascending order; the last one is all of `train`."""
    classes = int(train.y.max()) + 1
    if labels and min(labels) < classes:
        raise UserError(
            f"labels holds {min(labels)}, but must be at least {classes}, one label per class."
        )
    return [*sorted({size for size in labels if size < len(train)}), len(train)]


def _network(features: Features, folder: Path, seed: int) -> "Network | None":
    """Return the trained or an untrained network of a cell's folder; None for the input."""
    from hourglass.networks.weights import load

    if features == "input":
        return None
    return load(folder) if features == "pretrained" else untrained_network(folder, seed)


def untrained_network(folder: Path, seed: int) -> "Network":
    """Return the network of a cell's folder with random weights, in evaluation mode."""
    import torch

    from hourglass.networks.weights import load

    trained = load(folder)
    torch.manual_seed(seed)
    network = type(trained)(**trained.init_args)
    return network.eval().requires_grad_(False)


def _measurements(
    networks: "dict[Features, Network | None]",
    scaling: Scaling,
    splits: LabelledSplits,
    classifiers: Sequence[Classifier],
    softmax: "Callable[[Network, int], float] | None",
) -> list[Measurement]:
    """Return the measurements of all features and classifiers."""
    work: list[Measurement] = []
    for features, network in networks.items():
        flat = splits
        if set(classifiers) - {"softmax"}:
            flat = (
                encode_splits(splits, network, scaling)
                if network
                else flatten_splits(splits, scaling)
            )
        for name in classifiers:
            if name != "softmax":
                work.append((features, name, partial(_sklearn_error, name, flat)))
            elif softmax and network:
                work.append((features, name, partial(softmax, network)))
    if not work:
        raise UserError("there is nothing to measure; name a classifier, and features it takes.")
    return work


def _sklearn_error(
    name: sklearn_classifiers.SklearnClassifier, splits: LabelledSplits, size: int
) -> float:
    subset = replace(splits, train=splits.train.first(size))
    return sklearn_classifiers.measure_test_error(name, subset)


def _softmax_measurement(
    scaling: Scaling, splits: LabelledSplits, epochs: int, learning_rate: float, seed: int
) -> "Callable[[Network, int], float]":
    """Return a function that fine-tunes a network with some labels and returns its test error."""
    from hourglass.studies.classification.fine_tuning import FineTuning, fine_tune

    settings = FineTuning(epochs, learning_rate, seed=seed)

    def measure(network: "Network", size: int) -> float:
        # At least twenty batches, of 16 samples or more: gradient noise helps with few labels.
        batch_size = min(settings.batch_size, max(16, size // 20))
        subset = replace(splits, train=splits.train.first(size))
        return fine_tune(
            network, scaling, subset, replace(settings, batch_size=batch_size)
        ).test_error

    return measure


def _measure(cell: Cell, work: Sequence[Measurement], sizes: Sequence[int]) -> "pd.DataFrame":
    """Run each measurement with each training set; write the table and return it."""
    import pandas as pd
    from tqdm import tqdm

    rows = []
    with tqdm(total=len(work) * len(sizes), desc=cell.name, unit="fit", disable=None) as bar:
        for features, classifier, measure in work:
            for size in sizes:
                bar.set_postfix_str(f"{features} {classifier} {size}")
                start = time.perf_counter()
                error = measure(size)
                seconds = round(time.perf_counter() - start, 3)
                rows.append((features, classifier, size, error, seconds))
                bar.update()
    table = pd.DataFrame(rows, columns=COLUMNS)
    with atomic_file(cell / "classification.csv") as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return table


def _print(cell: Cell, table: "pd.DataFrame") -> None:
    shown = table.pivot_table("test_error", ["classifier", "features"], "labels", sort=False)
    print(f"test error on {cell.data} by number of labels\n")
    print(shown.reset_index().to_markdown(index=False, floatfmt=".4f"))
