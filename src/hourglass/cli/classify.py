"""Classify on a variant's codes: what pre-training is worth, label by label."""

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
from hourglass.studies.classification import shallow
from hourglass.studies.classification.features import Features, flat, network_of
from hourglass.studies.classification.labelled_subsets import Labelled, Parts, read
from hourglass.tracking.recorder import recording

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.networks import Network

Classifier: TypeAlias = Literal["logistic", "svm", "knn", "softmax"]
# What is measured, and the function from the number of labels to the test error.
Work: TypeAlias = tuple[Features, Classifier, Callable[[int], float]]
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
    """Put classifiers on a trained variant's codes and report their test errors.

    The classes are the labels of the normal samples. Beside the codes of the trained encoder stand
    those of the same network with random weights. Logistic regression, SVM and nearest neighbours
    take the codes as they are; softmax is trained together with the encoder. The normal samples of
    validation and calibration, with all their labels, choose C and the epoch, those of test judge.
    Writes runs/<data>/<model>/classification.csv: features, classifier, labels, test_error (share
    of 1), seconds (of fitting and testing).

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        classifiers: which of logistic, svm, knn and softmax
        features: which of pretrained, random and input (the samples themselves; not for softmax)
        labels: sizes of the training sets, each within the next; all labels are always added
        epochs: how long softmax is trained at most
        learning_rate: that of softmax and the encoder below it

    """
    cell = Cell(data, model)
    cell.need("train")
    from hourglass.networks.weights import trained_with

    prepared = Prepared.open(cell.prepared)
    seed = int(trained_with(cell.output("train"))["seed"])
    parts = read(prepared, seed)
    sizes = _sizes(labels, parts.train)
    networks = {each: network_of(each, cell.output("train"), seed) for each in features}
    work = _work(networks, prepared.scaling, parts, classifiers, (epochs, learning_rate, seed))
    with recording("classify", cell):
        table = _table(cell, work, sizes)
    _print(cell, table)
    return cell / "classification.csv"


def _sizes(labels: Sequence[int], train: Labelled) -> list[int]:
    """Return the sizes below that of `train`, and that."""
    classes = int(train.y.max()) + 1
    if labels and min(labels) < classes:
        raise UserError(f"labels holds {min(labels)}, but {classes} classes need a label each.")
    return [*sorted({each for each in labels if each < len(train)}), len(train)]


def _work(
    networks: "dict[Features, Network | None]",
    scaling: Scaling,
    parts: Parts,
    classifiers: Sequence[Classifier],
    tuning: tuple[int, float, int],
) -> list[Work]:
    """Return what is to be measured; `tuning` is epochs, learning rate and seed of softmax."""
    work: list[Work] = []
    chosen = dict.fromkeys(classifiers)
    softmax = _softmax(scaling, parts, *tuning) if "softmax" in chosen else None
    for kind, network in networks.items():
        seen = flat(network, scaling, parts) if chosen.keys() - {"softmax"} else parts
        for name in chosen:
            if name != "softmax":
                work.append((kind, name, partial(_shallow, name, seen)))
            elif softmax and network:
                work.append((kind, name, partial(softmax, network)))
    if not work:
        raise UserError("there is nothing to measure; name a classifier, and features it takes.")
    return work


def _shallow(name: shallow.Shallow, parts: Parts, size: int) -> float:
    return shallow.run(name, replace(parts, train=parts.train.first(size)))


def _softmax(
    scaling: Scaling, parts: Parts, epochs: int, learning_rate: float, seed: int
) -> "Callable[[Network, int], float]":
    """Return the function that fine-tunes a network with some labels, to its test error."""
    from hourglass.studies.classification.finetune import FineTuning, finetune

    settings = FineTuning(epochs, learning_rate, seed=seed)

    def measure(network: "Network", size: int) -> float:
        # Twenty batches at least, but for the smallest sets: where labels are few, noise helps.
        own = replace(settings, batch_size=min(settings.batch_size, max(16, size // 20)))
        few = replace(parts, train=parts.train.first(size))
        return finetune(network, scaling, few, own).test_error

    return measure


def _table(cell: Cell, work: Sequence[Work], sizes: Sequence[int]) -> "pd.DataFrame":
    """Measure everything with every number of labels; write the table and return it."""
    import pandas as pd
    from tqdm import tqdm

    rows = []
    with tqdm(total=len(work) * len(sizes), desc=cell.name, unit="fit", disable=None) as bar:
        for kind, name, measure in work:
            for size in sizes:
                bar.set_postfix_str(f"{kind} {name} {size}")
                start = time.perf_counter()
                error = measure(size)
                seconds = round(time.perf_counter() - start, 3)
                rows.append((kind, name, size, error, seconds))
                bar.update()
    table = pd.DataFrame(rows, columns=COLUMNS)
    with atomic_file(cell / "classification.csv") as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return table


def _print(cell: Cell, table: "pd.DataFrame") -> None:
    shown = table.pivot_table("test_error", ["classifier", "features"], "labels", sort=False)
    print(f"test error on {cell.data} by the number of labels\n")
    print(shown.reset_index().to_markdown(index=False, floatfmt=".4f"))
