"""The labelled normal samples of a data set, for training and testing classifiers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.prepared_data import Prepared


@dataclass(frozen=True)
class LabelledSamples:
    """Samples or their features, with class indices."""

    x: np.ndarray  # (N, *S), unscaled; or features (N, D)
    y: np.ndarray  # (N,) int64; -1 for a class without training samples, always misclassified

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.y)

    def first(self, count: int) -> "LabelledSamples":
        """Return the first `count` samples."""
        return LabelledSamples(self.x[:count], self.y[:count])


@dataclass(frozen=True)
class LabelledSplits:
    """The samples for training a classifier, selecting its settings, and testing it."""

    train: LabelledSamples
    validation: LabelledSamples
    test: LabelledSamples

    def map_x(self, function: Callable[[np.ndarray], np.ndarray]) -> "LabelledSplits":
        """Replace the samples `x` of each split by a function of them."""
        splits = (self.train, self.validation, self.test)
        return LabelledSplits(*(LabelledSamples(function(split.x), split.y) for split in splits))


def class_names(prepared: Prepared) -> list[str]:
    """Return the sorted class names of the training split; class indices refer to this list."""
    return [str(name) for name in np.unique(prepared.split("train").label)]


def read_labelled_splits(prepared: Prepared, seed: int) -> LabelledSplits:
    """Return the labelled splits of all classes; raise a UserError if there is only one class."""
    classes = class_names(prepared)
    if len(classes) < 2:
        raise UserError(
            f"the normal samples of {prepared.card['data']} are all labelled {classes[0]!r}, "
            "but a classifier needs at least 2 classes; name a data set with more classes, such as "
            "digits."
        )
    return labelled_splits(prepared, classes, seed)


def labelled_splits(prepared: Prepared, classes: Sequence[str], seed: int) -> LabelledSplits:
    """Return the normal samples with class indices in the sorted `classes`.

    `train` is in stratified order: its first n samples are a stratified subset for every n.
    `validation` joins the splits validation and calibration. `test` holds the normal samples of
    the test split.
    """
    names = np.array(classes)

    def labelled(x: np.ndarray, label: np.ndarray) -> LabelledSamples:
        index = np.searchsorted(names, label).clip(max=len(names) - 1)
        return LabelledSamples(x, np.where(names[index] == label, index, -1))

    train, validation, calibration, test = (
        prepared.split(name) for name in ("train", "validation", "calibration", "test")
    )
    order = stratified_order(train.label, seed)
    return LabelledSplits(
        labelled(train.x[order], train.label[order]),
        labelled(
            np.concatenate([validation.x, calibration.x]),
            np.concatenate([validation.label, calibration.label]),
        ),
        labelled(test.x[~test.anomaly], test.label[~test.anomaly]),
    )


def stratified_order(label: np.ndarray, seed: int) -> np.ndarray:
    """Return a random order of samples with labels, (N,), in which every prefix is stratified.

    The i-th of the n samples of a class gets the position (i + 1/2) / n, and the first one 0: a
    prefix as long as the number of classes has one sample per class.
    """
    rng = np.random.default_rng(seed)
    position = np.empty(len(label))
    for name in np.unique(label):
        members = rng.permutation(np.flatnonzero(label == name))
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
        position[members[0]] = 0
    return np.lexsort((rng.random(len(label)), position))  # ties in random order
