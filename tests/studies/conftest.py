"""Prepared data sets for tests of studies, written from arrays."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.data.prepared_data import SPLITS, Prepared, Samples, write_data_card, write_prepared
from hourglass.data.scaling import Scaling


def write_splits(
    folder: Path,
    make: Callable[[str], tuple[np.ndarray, np.ndarray, np.ndarray]],
    scaling: Scaling,
    **card: Any,
) -> Prepared:
    """Write a data set with x, label and anomaly of each split made by a function."""
    samples = {}
    for name in SPLITS:
        x, label, anomaly = make(name)
        ids = np.array([f"{name}/{i}" for i in range(len(x))])
        samples[name] = Samples(x, label, anomaly, ids)
    shape = {"sample_shape": list(samples["train"].x.shape[1:]), "scaling": scaling.to_dict()}
    folder.mkdir(exist_ok=True)
    write_prepared(folder, samples, {"data": folder.name, "feature_names": []} | shape | card)
    return Prepared.open(folder)


def rewrite(
    prepared: Prepared, change: Callable[[str, np.ndarray], np.ndarray], *names: str
) -> None:
    """Change arrays of a written data set, given their split, and update its checksums."""
    for split in SPLITS:
        for name in names:
            path = prepared.folder / split / f"{name}.npy"
            np.save(path, change(split, np.load(path)))
    write_data_card(prepared.folder, prepared.card)
    prepared.card.update(Prepared.open(prepared.folder).card)


def same_state(state: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two state dicts are equal, bit by bit."""
    return state.keys() == other.keys() and all(
        state[key].cpu().equal(other[key].cpu()) for key in state
    )
