"""Four classes of digits with another digit as anomaly, and an untrained network."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.data.scaling import Scaling
from hourglass.networks import Dense, Network
from hourglass.studies.classification.labelled_splits import LabelledSplits, read_labelled_splits
from tests.studies.conftest import write_splits

NAMES = ["eight", "one", "two", "zero"]  # sorted, as the classes are
LABELS = {0: "zero", 1: "one", 2: "two", 3: "bad", 8: "eight"}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Prepared:
    """Give digits by name; the test split also has digits 3 as anomalies."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(np.flatnonzero(np.isin(y, list(LABELS))))
    parts = np.split(order[y[order] != 3], [350, 420, 490, 500])
    parts[-1] = np.concatenate([parts[-1], order[y[order] == 3]])

    def split(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chosen = parts[SPLITS.index(name)]
        label = np.array([LABELS[digit] for digit in y[chosen]])
        return x[chosen].reshape(-1, 1, 8, 8).astype(np.uint8), label, label == "bad"

    return write_splits(tmp_path_factory.mktemp("data") / "four", split, Scaling.of_images(16))


@pytest.fixture
def splits(prepared) -> LabelledSplits:
    return read_labelled_splits(prepared, seed=0)


@pytest.fixture
def network(prepared) -> Network:
    torch.manual_seed(0)
    return Dense(prepared.sample_shape, 12, [32], bounded=True).eval().requires_grad_(False)
