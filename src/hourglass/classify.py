"""Classify on a variant's codes, so that pre-training can be told from luck with few labels."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import yaml

from hourglass.classifiers import SHALLOW, Shallow, test_error
from hourglass.data.packed import Prepared
from hourglass.data.scaling import Scaling
from hourglass.errors import Refusal
from hourglass.files import whole_file
from hourglass.labelled import Labelled, Parts, read
from hourglass.tracking import Recorder
from hourglass.workspace import Cell

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.networks import Network

Features: TypeAlias = Literal["pretrained", "random", "input"]
Row: TypeAlias = dict[str, str | int | float]
Work: TypeAlias = tuple[Features, str, Callable[[Parts], float]]


def classify(
    data: str,
    model: str,
    classifiers: Sequence[Shallow | Literal["softmax"]] = ("logistic", "svm", "knn", "softmax"),
    features: Sequence[Features] = ("pretrained", "random"),
    labels: Sequence[int] = (100, 1000, 10000),
    epochs: int = 30,
    learning_rate: float = 1e-3,
) -> Path:
    """Put classifiers on a trained variant's codes and report their test errors.

    The classes are the labels of the normal samples. Beside the codes of the trained encoder stand
    those of the same architecture with random weights. Logistic regression, SVM and nearest
    neighbours take the codes as they are; softmax fine-tunes the encoder with it. Validation and
    calibration choose C and the epoch, by all of their labels. Writes
    runs/<data>/<model>/classification.csv: features, classifier, labels, test_error (share of the
    normal test samples), seconds (of training and testing).

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        classifiers: which of logistic, svm, knn and softmax
        features: which of pretrained, random and input (the samples as they are; not for softmax)
        labels: sizes of the training sets, each within the next; all labels come last in any case
        epochs: how long softmax is fine-tuned at most
        learning_rate: of the fine-tuning

    """
    cell = Cell(data, model)
    cell.need_training()
    prepared = Prepared.open(cell.prepared)
    seed = int(yaml.safe_load((cell / "settings.yaml").read_text(encoding="utf-8"))["seed"])
    parts = read(prepared, seed)
    sizes = _sizes(labels, parts.train)
    ...
