"""Codes of cells: the same from CSV, Parquet and DataFrames, with pandas as the reference."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.data.columns.decision import Declared
from hourglass.data.columns.inference import infer_columns, used_columns
from hourglass.data.columns.levels import keep_train_levels
from hourglass.data.frames import frame_batches

RNG = np.random.default_rng(0)
NAN = float("nan")
COLUMNS = (
    Column("flow"),
    Column("on", "boolean", levels=("no", "yes")),
    Column("site", "categorical", levels=("north", "south", "7")),
    Column("when", "datetime", parts=("hour",)),
)


def csv_batch(frame: pd.DataFrame) -> pa.RecordBatch:
    """Return the batch of a CSV file of the frame, with cells as text."""
    text = io.BytesIO(frame.to_csv(index=False).encode())
    types = csv.ConvertOptions(column_types={name: pa.string() for name in frame})
    return csv.read_csv(text, convert_options=types).combine_chunks().to_batches()[0]


def parquet_batch(frame: pd.DataFrame) -> pa.RecordBatch:
    """Return the batch of a Parquet file of the frame, with typed cells."""
    file = io.BytesIO()
    frame.to_parquet(file)
    return parquet.read_table(file).combine_chunks().to_batches()[0]


def cells(values) -> st.SearchStrategy:
    return st.lists(st.one_of(values, st.none()), min_size=12, max_size=12)


TABLES = st.fixed_dictionaries(
    {
        "number": cells(st.floats(allow_nan=False, allow_infinity=False)),
        "whole": cells(st.integers(-(2**53), 2**53)),
        "on": cells(st.booleans()),
        "site": cells(st.sampled_from(["north", "south", "1", "ünder"])),
        "when": cells(st.datetimes(pd.Timestamp(1970, 1, 1), pd.Timestamp(2100, 1, 1))),
    }
)
KINDS = {
    "number": "numeric",
    "whole": "numeric",
    "on": "boolean",
    "site": "categorical",
    "when": "datetime",
}


@settings(max_examples=25, deadline=None)
@given(TABLES)
def test_csv_parquet_and_dataframe_give_the_same_codes(table):
    frame = pd.DataFrame(table).astype({"whole": "Int64", "on": "boolean", "site": "str"})
    frame["when"] = frame["when"].astype("datetime64[us]")
    usable = [name for name in frame if frame[name].notna().any()]
    if not usable:
        return
    frame = frame[usable]
    declared = Declared(
        {name: KINDS[name] for name in usable},
        dates={"when": "ISO8601"} if "when" in usable else {},
    )
    results = []
    for batch in (parquet_batch(frame), csv_batch(frame), next(frame_batches(frame))[1]):
        columns = used_columns(infer_columns([batch], usable, "x", declared))
        results.append(codes(batch, columns))
        # Columns of one file read the cells of all others.
        results.append(codes(csv_batch(frame), columns))
        results.append(codes(frame, columns))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])
    for i, column in enumerate(columns):
        expected = reference(frame[column.name], column)  # pandas rounds microseconds otherwise
        np.testing.assert_allclose(results[0][:, i], expected, rtol=1e-15)


def reference(series: pd.Series, column: Column) -> np.ndarray:
    """Return the codes of a column by pandas."""
    if column.kind == "datetime":
        seconds = (series - pd.Timestamp(0)) / pd.Timedelta(1, "s")
        return seconds.to_numpy(np.float64)
    if column.kind == "categorical":
        found = pd.Categorical(series, categories=list(column.levels)).codes.astype(float)
        return np.where(series.isna(), NAN, found)
    return series.to_numpy(np.float64, na_value=NAN)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("flow", ["1", " 2.50 ", "NA", "1e3", ""], [1, 2.5, NAN, 1000, NAN]),
        ("flow", [True, False, None], [1, 0, NAN]),
        ("flow", ["True", "0"], [1, 0]),
        ("flow", pa.array([1, None], pa.int8()), [1, NAN]),
        ("flow", pa.array(["1.5"]).dictionary_encode(), [1.5]),
        ("flow", [float("inf"), -float("inf")], np.array([1, -1]) * np.finfo(float).max),
        ("flow", [1700000000.409, 1700000000.41], [1700000000.409, 1700000000.41]),
        ("on", ["YES", "no", "?", "True", "0", "1.0"], [1, 0, NAN, 1, 0, 1]),
        ("on", [True, None, False], [1, NAN, 0]),
        ("on", [1, 0], [1, 0]),
        ("on", [1.0, NAN], [1, NAN]),
        ("site", ["south", "north ", "west", "", None, "?"], [1, 0, 3, NAN, NAN, NAN]),
        ("site", [7, 8, None], [2, 3, NAN]),
        ("site", [7.0, 7.5, NAN], [2, 3, NAN]),
        ("site", ["7", "7.0"], [2, 2]),
        ("when", ["1970-01-02", "1970-01-01T01:00:00+01:00", ""], [86400, 0, NAN]),
        ("when", pa.array([1, None], pa.timestamp("s", "Asia/Tokyo")), [1, NAN]),
        ("when", pa.array([1], pa.date32()), [86400]),
    ],
)
def test_another_type_is_converted_if_nothing_is_lost(name, values, expected):
    batch = pa.RecordBatch.from_arrays([pa.array(values)], [name])
    column = next(column for column in COLUMNS if column.name == name)
    np.testing.assert_array_equal(codes(batch, [column])[:, 0], expected)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("flow", ["1", "high"], "holds 'high' in row 12 instead of a number"),
        ("flow", pa.array([0], pa.timestamp("s")), "holds '1970-01-01 00:00:00' in row 11"),
        ("flow", [[1.0]], "holds '[1.0]' in row 11"),
        ("on", ["yes", "maybe"], "holds 'maybe' in row 12 instead of a truth value"),
        ("on", [2], "holds '2' in row 11"),
        ("when", ["soon"], "holds 'soon' in row 11 instead of a date"),
        ("when", [1700000000], "holds '1700000000' in row 11 instead of a date"),
    ],
)
def test_a_cell_without_a_code_is_named_with_its_column_and_row(refusal, name, values, message):
    batch = pa.RecordBatch.from_arrays([pa.array(values)], [name])
    column = next(column for column in COLUMNS if column.name == name)
    sentence = refusal(codes, batch, [column], "new.csv", 11)
    assert f"Column '{name}' of new.csv {message}" in sentence


def test_columns_are_found_by_name_in_any_order_and_others_are_ignored():
    frame = pd.DataFrame({"site": ["south"], "more": [[1]], "flow": [2.0]})
    wanted = [COLUMNS[0], COLUMNS[2]]
    assert codes(frame, wanted).tolist() == [[2, 1]]


def test_a_missing_column_is_refused_unless_it_is_optional(refusal):
    frame = pd.DataFrame({"Flow": [1.0], "x": [2]})
    sentence = refusal(codes, frame, COLUMNS, "new.csv")
    assert "new.csv has no column 'flow' and 3 more: did you mean 'Flow'" in sentence
    assert np.isnan(codes(frame, [Column("flow", optional=True)])).all()
    frame = pd.DataFrame([[1, 2]], columns=["flow", "flow"])
    assert "two columns named 'flow'" in refusal(codes, frame, COLUMNS[:1])


def test_formats_of_dates_and_missing_values_of_a_column_are_kept():
    columns = [
        Column("day", "datetime", date_format="%d/%m/%Y"),
        Column("x", missing_values=("-9999", "high")),
        Column("c", "categorical", levels=("a", "unknown"), missing_values=("none",)),
    ]
    frame = pd.DataFrame(
        {
            "day": ["02/01/1970", "03/01/1970 00:00:01", "1970-01-02"],
            "x": ["-9999", "high", "3"],
            "c": ["none", "unknown", "b"],
        }
    )
    expected = [[86400, NAN, NAN], [2 * 86400 + 1, NAN, 1], [86400, 3, 2]]
    np.testing.assert_array_equal(codes(frame, columns), expected)
    numbers = pd.DataFrame({"x": [-9999.0, 5.0]})
    np.testing.assert_array_equal(codes(numbers, columns[1:2])[:, 0], [NAN, 5])


def test_a_frame_of_mixed_objects_is_read_as_text():
    frame = pd.DataFrame({"flow": [1, "2.5", None, True], "site": ["south", 7, NAN, "x"]})
    expected = [[1, 1], [2.5, 2], [NAN, NAN], [1, 3]]
    np.testing.assert_array_equal(codes(frame, [COLUMNS[0], COLUMNS[2]]), expected)


def test_levels_that_are_rare_in_the_train_rows_become_other():
    names = ["a"] * 100 + ["b"] * 120 + ["rare"] * 3 + ["test only"] * 50
    x = codes(pd.DataFrame({"c": names}), [Column("c", "categorical", levels=("test only", "a"))])
    columns = (Column("c", "categorical", levels=("test only", "rare", "a", "b")),)
    x = np.column_stack([codes(pd.DataFrame({"c": names}), columns), np.arange(len(names))])
    x[0, 0] = NAN
    new = keep_train_levels((*columns, Column("n")), x, np.arange(223))
    assert new[0].levels == ("b", "a")
    assert new[1] == Column("n")
    expected = [NAN, *[1] * 99, *[0] * 120, *[2] * 53]
    np.testing.assert_array_equal(x[:, 0], expected)
    assert x[:, 1].tolist() == list(range(len(names)))
