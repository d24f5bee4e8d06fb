"""Sparse probing and feature absorption of all classes of a data set."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from hourglass.data.prepared_data import Prepared, Samples
from hourglass.networks import Network
from hourglass.studies.classification.labelled_splits import stratified_order
from hourglass.studies.sparse_codes.absorption import class_absorption, class_direction, main_units
from hourglass.studies.sparse_codes.code_blocks import CodeReader
from hourglass.studies.sparse_codes.probing import sparse_probes

MAX_SAMPLES = 4000  # per split, as many as SAEBench trains probes on
MAX_INPUTS = 2**25  # elements of these samples
MIN_PER_CLASS = 10  # samples per class and split
MAX_CLASSES = 50


@dataclass(frozen=True)
class LabelledCodes:
    """Inputs, sparse codes and labels of some samples."""

    x: np.ndarray  # (n, D)
    codes: csr_matrix  # (n, latent_dim)
    label: np.ndarray  # (n,)

    @classmethod
    def read(
        cls, prepared: Prepared, network: Network, samples: Samples, seed: int
    ) -> "LabelledCodes":
        """Read a stratified sample of the normal samples of a split."""
        normal = np.flatnonzero(~samples.anomaly)
        count = min(MAX_SAMPLES, max(1, MAX_INPUTS // int(np.prod(prepared.input_shape))))
        rows = np.sort(normal[stratified_order(samples.label[normal], seed)[:count]])
        x, codes = CodeReader(network, samples.x, rows, prepared.scaling).arrays()
        return cls(x, codes, samples.label[rows])


def probed_classes(train: np.ndarray, test: np.ndarray) -> list[str]:
    """Return the classes that a probe can tell apart, from the labels of two splits.

    A class and all other classes together need MIN_PER_CLASS samples in each split. The most
    frequent MAX_CLASSES are returned, in the order of their names.
    """
    names, counts = np.unique(train, return_counts=True)
    most = names[np.argsort(-counts, kind="stable")[:MAX_CLASSES]]
    found = [
        str(name)
        for name in np.sort(most)
        if all(
            MIN_PER_CLASS <= (labels == name).sum() <= len(labels) - MIN_PER_CLASS
            for labels in (train, test)
        )
    ]
    return found if len(names) > 1 else []


def class_table(
    train: LabelledCodes, test: LabelledCodes, w_dec: np.ndarray, b_dec: np.ndarray
) -> pd.DataFrame:
    """Return a row per class: sparse probing with k units, and feature absorption."""
    rows: list[dict[str, Any]] = []
    for name in probed_classes(train.label, test.label):
        is_class, is_class_test = train.label == name, test.label == name
        row: dict[str, Any] = {"class": name}
        for k, probe in sparse_probes(train.codes, is_class, test.codes, is_class_test).items():
            row[f"units_{k}"] = " ".join(map(str, probe.units))
            row[f"accuracy_{k}"], row[f"F1_{k}"] = probe.accuracy, probe.f1
        absorption = class_absorption(
            class_direction(train.x, is_class),
            main_units(train.codes, is_class),
            test.x[is_class_test],
            test.codes[is_class_test],
            w_dec,
            b_dec,
        )
        rows.append(
            {
                **row,
                "main_units": " ".join(map(str, absorption.main_units)),
                "absorption_fraction": absorption.fraction,
                "full_absorption": absorption.full,
                "absorption_samples": absorption.samples,
                "linear_probe_recall": absorption.probe_recall,
            }
        )
    return pd.DataFrame(rows)


def class_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Return the means over classes, by the names that metrics.json has."""
    names = {
        **{f"accuracy_{k}": f"sparse_probing_accuracy_{k}" for k in (1, 2, 5)},
        **{f"F1_{k}": f"sparse_probing_F1_{k}" for k in (1, 2, 5)},
        "absorption_fraction": "absorption_fraction",
        "full_absorption": "full_absorption",
    }
    means = {names[key]: float(table[key].mean()) for key in names if key in table}
    return {name: value for name, value in means.items() if np.isfinite(value)}
