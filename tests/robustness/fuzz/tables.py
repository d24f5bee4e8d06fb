"""Tables in CSV and Parquet files."""

import codecs
import csv
import io
import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from hourglass.core.errors import UserError
from hourglass.data.readers.numbers import NumberFormat, parse_numbers
from hourglass.data.readers.table_source import open_table
from tests.robustness.fuzz.case import Case, damage

NAMES = ["a", "b", "c"]
LARGEST = float(np.finfo(np.float32).max)
Write = Callable[[random.Random, Path], tuple[Path, np.ndarray | None, str]]


def make_case(write: Write, rng: random.Random, folder: Path) -> Case:
    """Return a mostly malformed table."""
    path, right, what = write(rng, folder)
    return case_of(path, right, f"{path.suffix}, {what}", what == "whole")


def case_of(path: Path, right: np.ndarray | None, what: str = "", valid: bool = False) -> Case:
    """Return the case of a table whose features are `right`."""
    return Case(what, lambda: _numbers_of(path), right, valid)


def _numbers_of(path: Path) -> np.ndarray:
    """Return the numbers of a table; raises a UserError if a cell is none."""
    source = open_table(path)
    table = pa.Table.from_batches(source.batches(NAMES))
    x = np.stack([_column(table[name].combine_chunks(), source.numbers) for name in NAMES], 1)
    if not len(x) or not (np.abs(x) <= LARGEST).all():
        raise UserError("a cell is no number.")
    return x.astype(np.float32)


def _column(cells: pa.Array, form: NumberFormat) -> np.ndarray:
    values = parse_numbers(cells, form)
    if values.null_count and pa.types.is_string(cells.type):
        words = pc.utf8_lower(cells)
        if pc.all(pc.is_in(words, pa.array(["true", "false"]))).as_py():
            values = pc.equal(words, "true").cast(pa.float64())
    return values.to_numpy(zero_copy_only=False)


WAYS = (
    *("whole", "cell", "cell", "cell", "column", "ragged", "header", "empty", "separator"),
    *("ends", "code", "bytes", "bytes", "nothing"),
)
CELLS = (
    *("", " ", "1e999", "-1e999", "1e38", "1e39", "-0.0", "1e-400", "nan", "NaN", "inf"),
    *("NA", "None", "null", "True", "false", "0x10", "1_000", "1,5", '"7"', '"1,5"', '"', "'3'"),
    *("-Infinity", "9" * 400, "0." + "3" * 400, "+4", " 5 ", "6\x00", "\x007", "1e", ".5", "5."),
    *("٣", "½", "1 2", "=1+1"),
    *("#8", "\\N", "x" * 100_000, "2024-01-01", "1\r2", '"1\n2"', "12345678901234567890"),
)  # fmt: skip
HEADERS = (["a", "a", "b"], ["a", "b"], ["a", "b", ""], ["a", "b", "c "], [*NAMES, "a"])


def write_csv(rng: random.Random, folder: Path) -> tuple[Path, np.ndarray | None, str]:
    """Write a mostly malformed CSV file; return its path, its features and its defect."""
    table = [[repr(rng.uniform(-9, 9)) for _ in NAMES] for _ in range(rng.randint(1, 5))]
    header, ends, separator, code = list(NAMES), "\n", ",", "utf-8"
    what, row = rng.choice(WAYS), rng.choice(table)
    if what in ("cell", "column"):
        place, cell = rng.randrange(3), rng.choice(CELLS)
        for each in [row] if what == "cell" else table:
            each[place] = cell
    elif what == "ragged":
        row[:] = rng.choice([row[: rng.randrange(3)], [*row, "1"], [*row, ""]])
    elif what == "header":
        header = rng.choice(HEADERS)
    elif what == "empty":
        table = []
    elif what == "separator":
        separator = rng.choice([";", "\t", "|", ", "])
    elif what == "ends":
        ends = rng.choice(["\r\n", "\r", "\n\n", "\r\r\n"])
    elif what == "code":
        code = rng.choice(["utf-16", "utf-32", "utf-8-sig"])
    text = ends.join(separator.join(each) for each in [header, *table])
    content = (text + rng.choice([ends] * 4 + [""])).encode(code)
    if what == "bytes":
        content = damage(content, rng)
    elif what == "nothing":
        content = rng.choice([b"", b"\n", b"\x00", b"\xef\xbb\xbf"])
    path = folder / "table.csv"
    path.write_bytes(content)
    return path, csv_reference(path), what


def csv_reference(path: Path) -> np.ndarray | None:
    """Return the table that Python's csv and float read, (N, 3); None if one of them fails."""
    try:
        text = _decoded(path.read_bytes())
        header = text.splitlines()[0] if text else ""
        separator = max(",;\t|", key=header.count)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        rows = [row for row in lines if row]
        if separator != ",":
            rows = [rows[0], *([cell.replace(",", ".") for cell in row] for row in rows[1:])]
        # An additional comma at the end of a row adds nothing.
        rows = [row if any(row[len(rows[0]) :]) else row[: len(rows[0])] for row in rows]
        if "\0" in text or len(rows) < 2 or len(set(rows[0])) < len(rows[0]):
            return None
        columns = dict(zip(map(str.strip, rows[0]), zip(*rows[1:], strict=True), strict=True))
        x = np.array([_numbers(columns[name]) for name in NAMES]).T
    except (ValueError, KeyError, csv.Error):
        return None
    return x.astype(np.float32) if (np.abs(x) <= LARGEST).all() else None


def _decoded(content: bytes) -> str:
    """Return the text: UTF-32 or -16 by its byte order mark, or UTF-8, or Latin-1."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return content.decode("utf-32")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _numbers(column: tuple[str, ...]) -> list[float]:
    if all(cell in ("True", "False", "TRUE", "FALSE", "true", "false") for cell in column):
        return [float(cell.lower() == "true") for cell in column]
    if any("_" in cell or not cell.isascii() for cell in column):
        raise ValueError("Python takes 1_000 and digits of other scripts, tables do not")
    return [float(cell) for cell in column]


# Columns of n cells, and their number; None if they must be refused.
COLUMNS: tuple[tuple[Callable[[int], pa.Array], float | None], ...] = (
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


def write_parquet(rng: random.Random, folder: Path) -> tuple[Path, np.ndarray | None, str]:
    """Write a mostly malformed Parquet file; return its path, its features and its defect."""
    count = rng.randint(1, 5)
    x = np.array([[rng.uniform(-9, 9) for _ in NAMES] for _ in range(count)])
    columns: list[pa.Array] = [pa.array(each) for each in x.T]
    names, what = list(NAMES), rng.choice(["whole", "column", "names", "bytes", "bytes", "empty"])
    right: np.ndarray | None = x.astype(np.float32)
    if what == "column":
        make, number = rng.choice(COLUMNS)
        columns[1] = make(count)
        x[:, 1] = number or 0
        right = None if number is None else x.astype(np.float32)
    elif what == "names":
        names, right = rng.choice([["a", "a", "b"], ["a", "b", "x"], ["a", "b", ""]]), None
    elif what == "empty":
        columns, right = [each[:0] for each in columns], None
    path = folder / "table.parquet"
    parquet.write_table(pa.Table.from_arrays(columns, names), path)
    if what == "bytes":
        path.write_bytes(damage(path.read_bytes(), rng))
        right = _parquet_reference(path)
    return path, right, what


def _parquet_reference(path: Path) -> np.ndarray | None:
    """Return the table that Arrow reads at once; None if it fails or a number is not finite."""
    try:
        table = parquet.read_table(path, partitioning=None)
        x = np.stack([table[name].to_numpy().astype(np.float64) for name in NAMES], 1)
    except Exception:  # Arrow raises a dozen kinds
        return None
    return x.astype(np.float32) if len(x) and (np.abs(x) <= LARGEST).all() else None
