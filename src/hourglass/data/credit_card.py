"""ULB credit-card transactions of two days; 0.17 % are frauds."""

from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.data.base import DataSet, Raw
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.data.download import download
from hourglass.data.readers.table_source import open_table
from hourglass.data.table_roles import text_cells

FILE = "creditcard/creditcard.csv"
MIRRORS = (
    "https://storage.googleapis.com/download.tensorflow.org/data/creditcard.csv",
    "https://www.openml.org/data/get_csv/1673544/phpKo8OWT",
)
OFFICIAL_ROWS, OFFICIAL_FRAUDS = 284_807, 492
# Principal components of undisclosed features, and the amount.
COLUMNS = (*(Column(f"V{i}") for i in range(1, 29)), Column("Amount", scaling="log"))


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
        x, fraud, time = _read(path)
        return Raw(
            x=x,
            label=np.where(fraud, "fraud", "genuine"),
            anomaly=fraud,
            id=np.array([f"creditcard/{row}" for row in range(1, len(x) + 1)]),
            source=_source(fraud, time) | {"files": {FILE: sha256(path)}},
            columns=COLUMNS,
            time=time,
        )


def _is_official(path: Path) -> bool:
    # Compare counts: there is no published checksum, and mirrors format the numbers differently.
    try:
        fraud = _read(path)[1]
        return (len(fraud), fraud.sum()) == (OFFICIAL_ROWS, OFFICIAL_FRAUDS)
    except UserError:
        return False


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the features, (N, 29), the mask of frauds, and the times if there are any.

    Raises a UserError for an invalid cell.
    """
    source = open_table(path)
    has_time = "Time" in source.names
    numbers = [*COLUMNS, *([Column("Time")] if has_time else [])]
    batches = list(source.batches([*(column.name for column in numbers), "Class"]))
    start, parts = 1, []
    for batch in batches:
        parts.append(codes(batch, numbers, path, start, source.numbers))
        start += len(batch)
    x = np.concatenate(parts)
    classes = np.char.strip(text_cells(batches, "Class"), "'")  # OpenML quotes the classes
    _check(classes, ~np.isin(classes, ["0", "1"]), "Class", "0 (genuine) or 1 (fraud)", path)
    for column, values in zip(numbers, x.T, strict=True):
        _check(values, ~np.isfinite(values), column.name, "a finite number", path)
    amount = len(COLUMNS) - 1
    _check(x[:, amount], x[:, amount] < 0, "Amount", "an amount of 0 or more", path)
    return x[:, : len(COLUMNS)].copy(), classes == "1", x[:, -1].copy() if has_time else None


def _check(values: np.ndarray, invalid: np.ndarray, name: str, expected: str, path: Path) -> None:
    """Raise a UserError about the first value of a column that is not as expected."""
    rows = np.flatnonzero(invalid)
    if len(rows):
        raise UserError(
            f"Column {name!r} of {path} holds {str(values[rows[0]])[:40]!r} in row {rows[0] + 1} "
            f"instead of {expected}; correct it, or delete the file so that it is downloaded again."
        )


def _source(fraud: np.ndarray, time: np.ndarray | None) -> dict[str, Any]:
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
    if time is None:
        source["note"] = "the file has no column Time, so the split cannot follow time"
    return source
