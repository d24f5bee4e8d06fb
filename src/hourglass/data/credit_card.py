"""ULB credit card: two days of transactions, of which 0.17 % are frauds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.data.base import DataSet, Raw
from hourglass.data.download import fetch
from hourglass.data.readers.table_files import features, numbers, read_table, require, texts

FILE = "creditcard/creditcard.csv"
MIRRORS = (
    "https://storage.googleapis.com/download.tensorflow.org/data/creditcard.csv",
    "https://www.openml.org/data/get_csv/1673544/phpKo8OWT",
)
ROWS, FRAUDS = 284_807, 492  # of the official table
COMPONENTS = [f"V{i}" for i in range(1, 29)]  # principal components; what they mean is secret


class CreditCard(DataSet):
    """Call genuine transactions normal and frauds anomalous.

    (N, 29) float32: V1 to V28 and log(1 + Amount), the amount being in euros. Time, in seconds, is
    no feature: the split follows it. Source: Dal Pozzolo et al. 2015, "Calibrating probability
    with undersampling for unbalanced classification".
    """

    def load(self, folder: Path) -> Raw:
        """Return all transactions, downloaded below `folder` where they are missing.

        A local table that is not the official one is taken as a subset, and its source says so.
        """
        path = folder / FILE
        if not path.is_file():
            download(folder)
        frame = _read(path)
        fraud = _frauds(frame, path)
        frame["log_amount"] = _log_amount(frame, path)
        names = (*COMPONENTS, "log_amount")
        return Raw(
            x=features(frame, names, path),
            label=np.where(fraud, "fraud", "genuine"),
            anomaly=fraud,
            id=np.array([f"creditcard/{row}" for row in frame.index]),
            source=_source(frame, fraud) | {"files": {FILE: sha256(path)}},
            feature_names=names,
            time=numbers(frame, "Time", path) if "Time" in frame.columns else None,
        )


def download(folder: Path, mirrors: Sequence[str] = MIRRORS) -> Path:
    """Download the official table below `folder`; any other is refused."""
    return fetch(FILE, folder, mirrors, check=_is_official)


def _is_official(path: Path) -> bool:
    # Its publisher gives no checksum, and mirrors write its numbers in different ways.
    try:
        frame = _read(path)
        return (len(frame), _frauds(frame, path).sum()) == (ROWS, FRAUDS)
    except UserError:
        return False


def _read(path: Path) -> pd.DataFrame:
    frame = read_table(path, text=["Class"])
    require(frame, [*COMPONENTS, "Amount", "Class"], path)
    return frame


def _frauds(frame: pd.DataFrame, path: Path) -> np.ndarray:
    """Return as (N,) bool which rows are frauds."""
    classes = np.char.strip(texts(frame, "Class", path), "'")  # OpenML quotes them
    strange = np.flatnonzero(~np.isin(classes, ["0", "1"]))
    if len(strange):
        raise UserError(
            f"Column 'Class' of {path} holds {str(classes[strange[0]])[:40]!r} in row "
            f"{strange[0] + 1}, where 0 is genuine and 1 a fraud; correct it, or delete the file, "
            "and it is downloaded again."
        )
    return classes == "1"


def _log_amount(frame: pd.DataFrame, path: Path) -> np.ndarray:
    amount = numbers(frame, "Amount", path)
    if amount.min() < 0:
        raise UserError(
            f"Column 'Amount' of {path} holds {amount.min()} in row {amount.argmin() + 1}, where "
            "no amount is negative; correct it, or delete the file, and it is downloaded again."
        )
    return np.log1p(amount)


def _source(frame: pd.DataFrame, fraud: np.ndarray) -> dict[str, Any]:
    rows, frauds = len(fraud), int(fraud.sum())
    source = {
        "name": "credit_card",
        "licence": "ULB Machine Learning Group and Worldline (Database Contents License 1.0)",
        "complete": (rows, frauds) == (ROWS, FRAUDS),
        "rows": rows,
        "frauds": frauds,
        "prevalence": frauds / rows,
    }
    if not source["complete"]:
        source["subset"] = f"ULB subset ({rows:,} of {ROWS:,} rows, {frauds} of {FRAUDS} frauds)"
    if "Time" not in frame.columns:
        source["note"] = "the file has no column Time, so the split cannot follow time"
    return source
