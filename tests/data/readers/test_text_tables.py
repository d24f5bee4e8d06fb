"""JSON lines and spreadsheets, against the frame that pandas wrote, or pandas' own reader."""

import gzip
import io

import pandas as pd
import pytest

from hourglass.core.errors import UserError
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.readers.table_source import open_table
from tests.data.readers.files import assert_read, pumps, rows_of, write, write_sheets

PUMPS = pumps()
SHEET = [list(PUMPS), *PUMPS.to_numpy(object).tolist()]


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_json_lines_are_read(tmp_path, compress):
    text = PUMPS.to_json(orient="records", lines=True)
    assert_read(write(tmp_path / "mine.jsonl.gz", compress(text.encode())), PUMPS)


def test_a_list_of_objects_is_read(tmp_path):
    assert_read(write(tmp_path / "mine.json", PUMPS.to_json(orient="records")), PUMPS)


def test_keys_may_come_late_and_be_absent_as_in_pandas(tmp_path):
    text = '{"a": 1, "b": "x"}\n' * 200 + '\n{"b": null, "c": 2.5}\n'
    expected = pd.read_json(io.StringIO(text), lines=True)
    assert_read(write(tmp_path / "mine.ndjson", text), expected)


def test_nested_values_and_booleans_are_json_text(tmp_path):
    path = write(tmp_path / "mine.jsonl", '{"a": [1, 2], "b": {"x": 1}, "c": true}\n')
    assert rows_of(open_table(path)).to_pylist() == [{"a": "[1,2]", "b": '{"x":1}', "c": "true"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"a": 1}\n\n{"a":\n', "Row 2 of"), ("[1, 2]", "Row 1 of"), ("[1", "no valid JSON")],
)
def test_a_line_that_is_no_object_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        open_table(write(tmp_path / "mine.jsonl", text))


def test_the_first_sheet_is_read_and_said(tmp_path):
    path = write_sheets(tmp_path / "mine.xlsx", {"May": SHEET, "June": [["a"], [1]]})
    source = assert_read(path, PUMPS)
    assert source.describe() == "spreadsheet, sheet 'May'"
    pd.testing.assert_frame_equal(pd.read_excel(path, engine="calamine"), PUMPS, check_dtype=False)


@pytest.mark.parametrize("sheet", ["June", 2])
def test_another_sheet_can_be_named(tmp_path, sheet):
    path = write_sheets(tmp_path / "mine.xlsx", {"May": SHEET, "June": [["a", "b"], [1, 2.5]]})
    assert_read(path, pd.DataFrame({"a": [1], "b": [2.5]}), sheet=sheet)
    with pytest.raises(UserError, match="no sheet 'July'; name one of 'May', 'June'"):
        open_table(path, ReadOptions(sheet="July"))


def test_titles_empty_rows_and_totals_of_a_sheet_are_left_out(tmp_path):
    rows = [["Pump report"], [], *SHEET, [], ["Total", 12.5, 100]]
    source = assert_read(write_sheets(tmp_path / "mine.xlsx", {"May": rows}), PUMPS)
    assert source.format["left_out_rows"] == ["Total,12.5,100,,,"]


def test_a_damaged_spreadsheet_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be read as a spreadsheet"):
        open_table(write(tmp_path / "mine.xlsx", b"PK\x03\x04" + bytes(100)))
