"""Command `classify`: measure the test errors of classifiers on a trained cell's latent codes."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from hourglass.core.atomic import atomic_file
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Encoding
from hourglass.studies.classification.labelled_splits import LabelledSplits, read_labelled_splits
from hourglass.studies.classification.sklearn_classifiers import (
    SklearnClassifier,
    measure_test_error,
)
from hourglass.tracking.recording import recording

if TYPE_CHECKING:
    from hourglass.networks import Network
    from hourglass.studies.classification.fine_tuning import FineTuning

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

    Examples:
        hourglass classify digits stacked --labels 100,500
        hourglass classify digits stacked --classifiers logistic,knn --features pretrained,input

    """
    cell = Cell(data, model)
    cell.require("train")
    import pandas as pd

    from hourglass.core.progress_bar import ProgressBar
    from hourglass.networks.weights import trained_with
    from hourglass.studies.classification.fine_tuning import FineTuning

    prepared, folder = Prepared.open(cell.prepared), cell.output("train")
    seed = int(trained_with(folder)["seed"])
    splits = read_labelled_splits(prepared, seed)
    full, classes = len(splits.train), int(splits.train.y.max()) + 1
    if labels and min(labels) < classes:
        raise UserError(
            f"labels holds {min(labels)}, but must be at least {classes}, one label per class."
        )
    sizes = [*sorted({size for size in labels if size < full}), full]
    settings = FineTuning(epochs, learning_rate, seed=seed)
    measurements = [
        measurement
        for kind in dict.fromkeys(features)
        for measurement in _measurements(
            kind, _network(kind, folder, seed), splits, prepared.scaling, classifiers, settings
        )
    ]
    if not measurements:
        raise UserError(
            "nothing can be measured; name at least one classifier, and for softmax features "
            "other than input."
        )
    rows = []
    path = cell / "classification.csv"
    with (
        recording("classify", cell),
        ProgressBar(total=len(measurements) * len(sizes), desc=cell.name, unit=" fits") as bar,
    ):
        for (kind, name, measure), size in product(measurements, sizes):
            bar.set_postfix_str(f"{kind} {name} {size}")
            start = time.perf_counter()
            error = measure(size)
            rows.append((kind, name, size, error, round(time.perf_counter() - start, 3)))
            bar.update()
        table = pd.DataFrame(rows, columns=COLUMNS)
        with atomic_file(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
    pivot = table.pivot_table("test_error", ["classifier", "features"], "labels", sort=False)
    print(f"test error on {data} by number of labels\n")
    print(pivot.reset_index().to_markdown(index=False, floatfmt=".4f"))
    return path


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
    features: Features,
    network: "Network | None",
    splits: LabelledSplits,
    scaling: Encoding,
    classifiers: Sequence[Classifier],
    settings: "FineTuning",
) -> Iterator[Measurement]:
    """Yield one measurement for each classifier that takes the features."""
    from hourglass.studies.latent_space import encode_splits, flatten_splits  # imports torch

    vectors = splits  # softmax takes samples
    if {*classifiers} - {"softmax"}:
        if network:
            vectors = encode_splits(splits, network, scaling)
        else:
            vectors = flatten_splits(splits, scaling)
    for name in dict.fromkeys(classifiers):
        if name != "softmax":
            yield features, name, partial(_sklearn_error, name, vectors)
        elif network:
            yield features, name, partial(_softmax_error, network, splits, scaling, settings)


def _sklearn_error(name: SklearnClassifier, splits: LabelledSplits, size: int) -> float:
    """Return the test error of a scikit-learn classifier trained on the first `size` samples."""
    return measure_test_error(name, replace(splits, train=splits.train.first(size)))


def _softmax_error(
    network: "Network", splits: LabelledSplits, scaling: Encoding, settings: "FineTuning", size: int
) -> float:
    """Return the test error of a network fine-tuned on the first `size` samples."""
    from hourglass.studies.classification.fine_tuning import fine_tune

    # Small batches for small training sets: gradient noise helps if labels are few.
    largest = max(MIN_BATCH_SAMPLES, size // MIN_BATCHES_PER_EPOCH)
    settings = replace(settings, batch_size=min(settings.batch_size, largest))
    subset = replace(splits, train=splits.train.first(size))
    return fine_tune(network, scaling, subset, settings).test_error
