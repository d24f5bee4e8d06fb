"""Command `classify`: measure the test errors of classifiers on a trained cell's latent codes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from hourglass.core.atomic import atomic_file
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Scaling
from hourglass.studies.classification import sklearn_classifiers
from hourglass.studies.classification.labelled_splits import (
    LabelledSamples,
    LabelledSplits,
    read_labelled_splits,
)
from hourglass.studies.latent_space import encode_splits, flatten_splits
from hourglass.tracking.recording import recording

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.networks import Network

Features: TypeAlias = Literal["pretrained", "random", "input"]
Classifier: TypeAlias = Literal["logistic", "svm", "knn", "softmax"]
# Features, classifier, and a function: number of training labels -> test error.
Measurement: TypeAlias = tuple[Features, Classifier, Callable[[int], float]]
COLUMNS = ["features", "classifier", "labels", "test_error", "seconds"]
MIN_BATCHES_PER_EPOCH, MIN_BATCH_SAMPLES = 20, 16  # of the softmax classifier


def classify(
    data: str,
    model: str,
    classifiers: Sequence[Classifier] = ("logistic", "svm", "knn", "softmax"),
    features: Sequence[Features] = ("pretrained", "random"),
    labels: Sequence[int] = (100, 1000, 10000),
    epochs: int = 30,
    learning_rate: float = 3e-3,
) -> Path:
    """Train classifiers on the latent codes of a trained cell and report their test errors.

    The classes are the labels of the normal samples. For comparison, the same network with random
    weights is measured too. Logistic regression, SVM and nearest neighbours use fixed codes;
    softmax fine-tunes the encoder as well. The regularisation C and the best epoch are selected on
    the validation and calibration splits; the error is measured on the test split. Writes
    runs/<data>/<model>/classification.csv: features, classifier, labels (number of training
    samples), test_error (fraction), seconds (training and testing).

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        classifiers: some of logistic, svm, knn and softmax
        features: some of pretrained, random and input (the samples themselves; not for softmax)
        labels: sizes of the nested training sets; the full training split is always added
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
    distinct = list(dict.fromkeys(classifiers))
    softmax = None
    if "softmax" in distinct:
        softmax = _softmax_measurement(prepared.scaling, splits, epochs, learning_rate, seed)
    measurements = _measurements(networks, prepared.scaling, splits, distinct, softmax)
    with recording("classify", cell):
        table = _measure(cell, measurements, sizes)
    _print_errors(cell, table)
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
    """Return the network that computes the features; None if they are the input itself."""
    from hourglass.networks.weights import load

    if features == "input":
        return None
    return load(folder) if features == "pretrained" else untrained_network(folder, seed)


def untrained_network(folder: Path, seed: int) -> "Network":
    """Return a network like the one in a folder, with random weights and in evaluation mode."""
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
    """Return one measurement per pair of features and classifier that fit together."""
    measurements: list[Measurement] = []
    for features, network in networks.items():
        vectors = splits
        if set(classifiers) - {"softmax"}:
            vectors = (
                encode_splits(splits, network, scaling)
                if network
                else flatten_splits(splits, scaling)
            )
        for name in classifiers:
            if name != "softmax":
                measurements.append((features, name, partial(_sklearn_error, name, vectors)))
            elif softmax and network:
                measurements.append((features, name, partial(softmax, network)))
    if not measurements:
        raise UserError(
            "nothing can be measured; name at least one classifier, and for softmax features "
            "other than input."
        )
    return measurements


def _sklearn_error(
    name: sklearn_classifiers.SklearnClassifier, splits: LabelledSplits, size: int
) -> float:
    """Return the test error of a scikit-learn classifier trained on the first `size` samples."""
    subset = replace(splits, train=splits.train.first(size))
    return sklearn_classifiers.measure_test_error(name, subset)


def _softmax_measurement(
    scaling: Scaling, splits: LabelledSplits, epochs: int, learning_rate: float, seed: int
) -> "Callable[[Network, int], float]":
    """Return a function that fine-tunes a network on `size` samples and returns its test error."""
    from hourglass.studies.classification.fine_tuning import FineTuning, fine_tune

    settings = FineTuning(epochs, learning_rate, seed=seed)

    def measure(network: "Network", size: int) -> float:
        # Small batches for small training sets: gradient noise helps if labels are few.
        largest = max(MIN_BATCH_SAMPLES, size // MIN_BATCHES_PER_EPOCH)
        batch_size = min(settings.batch_size, largest)
        subset = replace(splits, train=splits.train.first(size))
        return fine_tune(
            network, scaling, subset, replace(settings, batch_size=batch_size)
        ).test_error

    return measure


def _measure(
    cell: Cell, measurements: Sequence[Measurement], sizes: Sequence[int]
) -> "pd.DataFrame":
    """Run every measurement with every training-set size; write and return the table."""
    import pandas as pd
    from tqdm import tqdm

    rows = []
    total = len(measurements) * len(sizes)
    with tqdm(total=total, desc=cell.name, unit="fit", disable=None) as bar:
        for features, classifier, measure in measurements:
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


def _print_errors(cell: Cell, table: "pd.DataFrame") -> None:
    pivot = table.pivot_table("test_error", ["classifier", "features"], "labels", sort=False)
    print(f"test error on {cell.data} by number of labels\n")
    print(pivot.reset_index().to_markdown(index=False, floatfmt=".4f"))
