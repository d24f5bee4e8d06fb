"""Labelled splits: stratified subsets of normal samples with their classes."""

from collections import Counter

import numpy as np
import pytest

from hourglass.studies.classification.labelled_splits import (
    labelled_splits,
    read_labelled_splits,
    stratified_order,
)
from tests.studies.classification.conftest import NAMES


@pytest.mark.parametrize("seed", range(5))
def test_every_prefix_of_a_stratified_order_has_the_class_shares_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(5), [400, 300, 200, 90, 10]))
    order = stratified_order(y, seed)
    assert sorted(order) == list(range(1000))
    counts = np.cumsum(np.eye(5)[y[order]], axis=0)
    shares = np.outer(np.arange(1, 1001), [0.4, 0.3, 0.2, 0.09, 0.01])
    # At most one for rounding, and two for the first samples of all classes in front.
    assert np.abs(counts - shares).max() < 3
    assert sorted(y[order[:5]]) == [0, 1, 2, 3, 4]
    assert (order == stratified_order(y, seed)).all()
    assert (order != stratified_order(y, seed + 1)).any()


def test_splits_hold_the_normal_samples_with_their_labels(prepared):
    def pairs(x: np.ndarray, label: np.ndarray) -> Counter:
        return Counter((image.tobytes(), str(name)) for image, name in zip(x, label, strict=True))

    labelled = read_labelled_splits(prepared, seed=0)
    sources = {"train": ["train"], "validation": ["validation", "calibration"], "test": ["test"]}
    for name, part in vars(labelled).items():
        expected = Counter()
        for split in map(prepared.split, sources[name]):
            expected += pairs(split.x[~split.anomaly], split.label[~split.anomaly])
        assert pairs(part.x, np.array(NAMES)[part.y]) == expected


def test_a_class_without_training_samples_has_the_index_of_no_class(prepared):
    test = prepared.split("test")
    labelled = labelled_splits(prepared, ["eight", "one", "two"], seed=0)
    assert (labelled.test.y == -1).sum() == (test.label == "zero").sum() > 0
