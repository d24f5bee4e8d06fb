"""Tables, CSV and Parquet, as data to train on and as new samples to score."""

import csv
import io
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from fuzzing.cases import Case, damaged
from hourglass.core.errors import UserError
from hourglass.data.readers.table_chunks import read_table_chunks
from hourglass.data.readers.table_files import feature_matrix, read_table, require_columns

NAMES = ["a", "b", "c"]
LARGEST = float(np.finfo(np.float32).max)
CELLS = (
    *("", " ", "1e999", "-1e999", "1e38", "1e39", "-0.0", "1e-400", "nan", "NaN", "inf"),
    *("NA", "None", "null", "True", "false", "0x10", "1_000", "1,5", '"7"', '"1,5"', '"', "'3'"),
    *("-Infinity", "9" * 400, "0." + "3" * 400, "+4", " 5 ", "6\x00", "\x007", "1e", ".5", "5."),
    *("٣", "½", "1 2", "=1+1"),
    *("#8", "\\N", "x" * 100_000, "2024-01-01", "1\r2", '"1\n2"', "12345678901234567890"),
)  # fmt: skip


def of_csv(rng: random.Random, folder: Path) -> Case:
    """Return a CSV file that `prepare` is given."""
    content, what = _csv(rng)
    return case_of_csv(content, folder, False, f"csv, {what}", what == "whole")


def of_new_csv(rng: random.Random, folder: Path) -> Case:
    """Return a CSV file that `score` is given."""
    content, what = _csv(rng)
    return case_of_csv(content, folder, True, f"new csv, {what}", what == "whole")


def case_of_csv(
    content: bytes, folder: Path, new: bool, what: str = "csv", whole: bool = False
) -> Case:
    """Return the case of a file of these bytes, to be scored where it is `new`."""
    path, ask = folder / "table.csv", _scored if new else _trained
    path.write_bytes(content)
    return Case(what, lambda: ask(path), _reference(content), whole)


def _csv(rng: random.Random) -> tuple[bytes, str]:
    table = [[repr(rng.uniform(-9, 9)) for _ in NAMES] for _ in range(rng.randint(1, 5))]
    header, ends, separator = list(NAMES), "\n", ","
    what, row = rng.choice(WAYS), rng.choice(table)
    if what == "cell":
        row[rng.randrange(3)] = rng.choice(CELLS)
    elif what == "column":
        place, cell = rng.randrange(3), rng.choice(CELLS)
        for each in table:
            each[place] = cell
    elif what == "ragged":
        row[:] = (
            row[: rng.randrange(3)] if rng.random() < 0.5 else [*row, *rng.choice([["1"], [""]])]
        )
    elif what == "header":
        header = rng.choice(
            [["a", "a", "b"], ["a", "b"], ["a", "b", ""], ["a", "b", "c "], [*NAMES, "a"]]
        )
    elif what == "empty":
        table = []
    elif what == "separator":
        separator = rng.choice([";", "\t", "|", ", "])
    elif what == "ends":
        ends = rng.choice(["\r\n", "\r", "\n\n", "\r\r\n"])
    text = ends.join(separator.join(each) for each in [header, *table]) + ends * (
        rng.random() < 0.8
    )
    content = text.encode(
        rng.choice(["utf-16", "utf-32", "utf-8-sig"]) if what == "code" else "utf-8"
    )
    content = damaged(content, rng) if what == "bytes" else content
    content = rng.choice([b"", b"\n", b"\x00", b"\xef\xbb\xbf"]) if what == "nothing" else content
    return content, what


WAYS = (
    *("whole", "cell", "cell", "cell", "column", "ragged", "header", "empty", "separator"),
    *("ends", "code", "bytes", "bytes", "nothing"),
)


def _reference(content: bytes) -> np.ndarray | None:
    """Return what Python's csv and float read, (N, 3); None where one of them reads nothing."""
    try:
        text = content.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        # A comma more at the end of a row adds nothing.
        rows = [row if any(row[len(rows[0]) :]) else row[: len(rows[0])] for row in rows]
        if not rows or any(len(row) != len(rows[0]) for row in rows) or len(rows) < 2:
            return None
        places = [rows[0].index(name) for name in NAMES]
        columns = [[row[place] for row in rows[1:]] for place in places]
        x = np.array([_numbers(column) for column in columns]).T
    except (ValueError, csv.Error):
        return None
    twice = len(set(rows[0])) < len(rows[0])
    return (
        None if twice or "\0" in text or not (np.abs(x) <= LARGEST).all() else x.astype(np.float32)
    )


def _numbers(column: list[str]) -> list[float]:
    truths = {"true": 1.0, "false": 0.0}
    if all(cell.lower() in truths and cell in YES_NO for cell in column):
        return [truths[cell.lower()] for cell in column]
    if any("_" in cell or not cell.isascii() for cell in column):
        raise ValueError("Python takes 1_000 and digits of other scripts, tables do not")
    return [float(cell) for cell in column]


YES_NO = ("True", "False", "TRUE", "FALSE", "true", "false")


def of_parquet(rng: random.Random, folder: Path) -> Case:
    """Return a Parquet file that `prepare` is given."""
    path, right, what = _parquet(rng, folder)
    return Case(f"parquet, {what}", lambda: _trained(path), right, what == "whole")


def of_new_parquet(rng: random.Random, folder: Path) -> Case:
    """Return a Parquet file that `score` is given."""
    path, right, what = _parquet(rng, folder)
    return Case(f"new parquet, {what}", lambda: _scored(path), right, what == "whole")


def _parquet(rng: random.Random, folder: Path) -> tuple[Path, np.ndarray | None, str]:
    count = rng.randint(1, 5)
    x = np.array([[rng.uniform(-9, 9) for _ in NAMES] for _ in range(count)])
    columns: list[Any] = [pa.array(each) for each in x.T]
    names, what = list(NAMES), rng.choice(["whole", "column", "names", "bytes", "bytes", "empty"])
    right: np.ndarray | None = x.astype(np.float32)
    if what == "column":
        values, numbers = rng.choice(COLUMNS)
        columns[1] = values(count)
        if right is not None:
            right[:, 1] = 0 if numbers is None else numbers
        right = None if numbers is None else right
    elif what == "names":
        names, right = rng.choice([["a", "a", "b"], ["a", "b", "x"], ["a", "b", ""]]), None
    elif what == "empty":
        columns, right = [each[:0] for each in columns], None
    path = folder / "table.parquet"
    parquet.write_table(pa.Table.from_arrays(columns, names), path)
    if what == "bytes":
        path.write_bytes(damaged(path.read_bytes(), rng))
        right = _parquet_reference(path)
    return path, right, what


Column = tuple[Callable[[int], pa.Array], float | None]
COLUMNS: tuple[Column, ...] = (
    (lambda n: pa.array([3] * n), 3.0),
    (lambda n: pa.array([True] * n), 1.0),
    (lambda n: pa.array([2.5] * n, pa.float32()), 2.5),
    (lambda n: pa.array([2**60] * n), float(2**60)),
    (lambda n: pa.array([None] * n, pa.float64()), None),
    (lambda n: pa.array([None] * n), None),
    (lambda n: pa.array([math.inf] * n), None),
    (lambda n: pa.array([1e300] * n), None),
    (lambda n: pa.array(["x"] * n), None),
    (lambda n: pa.array([b"\x00\xff"] * n), None),
    (lambda n: pa.array([[1.0]] * n), None),
    (lambda n: pa.array([{"a": 1.0}] * n), None),
)


def _parquet_reference(path: Path) -> np.ndarray | None:
    """Return what Arrow reads in one go; None where it reads nothing, or no finite numbers."""
    try:
        table = parquet.read_table(path, partitioning=None)
        x = np.stack([table[name].to_numpy().astype(np.float64) for name in NAMES], 1)
    except Exception:  # Arrow's errors are of a dozen kinds
        return None
    return x.astype(np.float32) if len(x) and (np.abs(x) <= LARGEST).all() else None


def _trained(path: Path) -> np.ndarray:
    """Return features as `prepare` would."""
    frame = read_table(path)
    require_columns(frame, NAMES, path)
    return feature_matrix(frame, NAMES, path)


def _scored(path: Path) -> np.ndarray:
    """Return features as `score` would, or refuse as it does."""
    parts = list(read_table_chunks(path, NAMES, None))
    x = np.concatenate([each.x for each in parts]) if parts else np.zeros((0, 3))
    if not len(x) or not all(each.complete.all() for each in parts):
        raise UserError("there is nothing to be scored.")  # as the verb says, in other words
    return x
