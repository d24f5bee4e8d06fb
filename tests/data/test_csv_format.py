"""CSV files with other separators, decimal marks and encodings, in training and in scoring."""

import numpy as np
import pandas as pd
import pytest

from hourglass.data.readers.table_chunks import read_table_chunks
from hourglass.data.readers.table_files import read_table

FRAME = pd.DataFrame({"température": [1.5, -2.25, 1000.0], "flow m³": [0.5, 1.0, 2.0]})
FORMATS = [
    {},
    {"sep": ";"},
    {"sep": ";", "decimal": ","},
    {"sep": "\t"},
    {"sep": "\t", "decimal": ","},
    {"sep": "|"},
    {"encoding": "latin-1"},
    {"encoding": "utf-8-sig", "sep": ";"},
    {"encoding": "utf-16"},
]


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_values_and_names_are_those_that_were_written(tmp_path, form):
    path = tmp_path / "mine.csv"
    FRAME.to_csv(path, index=False, **form)
    assert read_table(path).to_dict("list") == FRAME.to_dict("list")
    (chunk,) = read_table_chunks(path, list(FRAME), None)
    np.testing.assert_array_equal(chunk.x, FRAME.to_numpy(np.float32))


def test_a_comma_within_a_cell_is_no_decimal_mark_if_commas_separate(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text('a,b\n"1,5",2.5\n')
    assert read_table(path)["a"].tolist() == ["1,5"]


def test_a_text_with_a_comma_does_not_change_the_decimal_mark(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a;b;place\n1.5;2.5;1,2\n3.5;4.5;x\n")
    assert read_table(path)["a"].tolist() == [1.5, 3.5]


def test_true_and_false_with_empty_cells_are_numbers_in_scoring(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a,b\ntrue,1\n?,2\nfalse,3\n")
    (chunk,) = read_table_chunks(path, ["a", "b"], None)
    np.testing.assert_array_equal(chunk.x[:, 0], [1, np.nan, 0])


def test_large_integers_are_rounded_in_scoring_as_in_training(tmp_path):
    path = tmp_path / "mine.parquet"
    frame = pd.DataFrame({"a": np.array([2**63 + 2**41, 5], np.uint64)})
    frame.to_parquet(path)
    (chunk,) = read_table_chunks(path, ["a"], None)
    np.testing.assert_array_equal(chunk.x[:, 0], frame["a"].to_numpy(np.float32))


@pytest.mark.parametrize("cell", ["", "NA", "?", "-", "null"])
def test_the_same_cells_are_empty_in_scoring(tmp_path, cell):
    path = tmp_path / "mine.csv"
    path.write_text(f"a,name\n1,x\n{cell},NA\n")
    (chunk,) = read_table_chunks(path, ["a"], "name")
    assert chunk.complete.tolist() == [True, False]
    assert chunk.id.to_pylist() == ["x", "NA"]
