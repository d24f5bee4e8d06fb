"""ULB credit-card transactions of two days; 0.17 % are frauds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.data.base import DataSet, Raw
from hourglass.data.columns import Column
from hourglass.data.download import download
from hourglass.data.readers.table_files import (
    feature_matrix,
    number_column,
    read_table,
    require_columns,
    text_column,
)

FILE = "creditcard/creditcard.csv"
MIRRORS = (
    "https://storage.googleapis.com/download.tensorflow.org/data/creditcard.csv",
    "https://www.openml.org/data/get_csv/1673544/phpKo8OWT",
)
OFFICIAL_ROWS, OFFICIAL_FRAUDS = 284_807, 492
COMPONENTS = [f"V{i}" for i in range(1, 29)]  # principal components of undisclosed features


class CreditCard(DataSet):
    """Genuine transactions (normal) and frauds (anomalous).

    (N, 29): V1 to V28 and Amount in euros, whose scaling is logarithmic. The splits follow Time, in
    seconds, which is not a feature. Source: Dal Pozzolo et al. 2015, "Calibrating
    probability with undersampling for unbalanced classification".
    """

    def load(self, folder: Path) -> Raw:
        """Load all transactions; download the official table if it is missing below `folder`.

        A local table with different numbers of rows or frauds is reported as a subset.
        """
        path = folder / FILE
        if not path.is_file():
            with download(path, MIRRORS, _is_official) as downloaded:
                downloaded.replace(path)
        frame, fraud = _read(path)
        amount = number_column(frame, "Amount", path)
        if amount.min() < 0:
            raise UserError(
                f"Column 'Amount' of {path} holds the negative amount {amount.min()} in row "
                f"{amount.argmin() + 1}; correct it, or delete the file so that it is downloaded "
                "again."
            )
        feature_names = (*COMPONENTS, "Amount")
        return Raw(
            x=feature_matrix(frame, feature_names, path),
            label=np.where(fraud, "fraud", "genuine"),
            anomaly=fraud,
            id=np.array([f"creditcard/{row}" for row in frame.index]),
            source=_source(frame, fraud) | {"files": {FILE: sha256(path)}},
            columns=(*(Column(name) for name in COMPONENTS), Column("Amount", scaling="log")),
            time=number_column(frame, "Time", path) if "Time" in frame.columns else None,
        )


def _is_official(path: Path) -> bool:
    # Compare counts: there is no published checksum, and mirrors format the numbers differently.
    try:
        _, fraud = _read(path)
        return (len(fraud), fraud.sum()) == (OFFICIAL_ROWS, OFFICIAL_FRAUDS)
    except UserError:
        return False


def _read(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the table and the mask of frauds, (N,) bool; raise a UserError for a bad class."""
    frame = read_table(path, text=["Class"])
    require_columns(frame, [*COMPONENTS, "Amount", "Class"], path)
    classes = np.char.strip(text_column(frame, "Class", path), "'")  # OpenML quotes the classes
    invalid = np.flatnonzero(~np.isin(classes, ["0", "1"]))
    if len(invalid):
        raise UserError(
            f"Column 'Class' of {path} holds {str(classes[invalid[0]])[:40]!r} in row "
            f"{invalid[0] + 1} instead of 0 (genuine) or 1 (fraud); correct it, or delete the file "
            "so that it is downloaded again."
        )
    return frame, classes == "1"


def _source(frame: pd.DataFrame, fraud: np.ndarray) -> dict[str, Any]:
    """Describe the origin of the table, and compare it with the official one."""
    rows, frauds = len(fraud), int(fraud.sum())
    source = {
        "name": "credit_card",
        "licence": "ULB Machine Learning Group and Worldline (Database Contents License 1.0)",
        "complete": (rows, frauds) == (OFFICIAL_ROWS, OFFICIAL_FRAUDS),
        "rows": rows,
        "frauds": frauds,
        "prevalence": frauds / rows,
    }
    if not source["complete"]:
        source["subset"] = (
            f"ULB subset ({rows:,} of {OFFICIAL_ROWS:,} rows, {frauds} of {OFFICIAL_FRAUDS} frauds)"
        )
    if "Time" not in frame.columns:
        source["note"] = "the file has no column Time, so the split cannot follow time"
    return source
