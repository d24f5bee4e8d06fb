"""CSV files of any layout, against the frame that pandas wrote, or reads with the right options."""

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from hourglass.core.errors import UserError
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.readers.table_source import open_table
from tests.data.readers.files import assert_read, pumps, rows_of, write

PUMPS = pumps()
NUMBERS = PUMPS[["flow", "pressure", "count"]]
TEXT = PUMPS.to_csv(index=False)
HEADER = TEXT.splitlines()[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("sep", "decimal"), [(",", "."), (";", ","), ("\t", ","), ("|", ".")])
def test_separator_decimal_mark_and_encoding_are_detected(
    tmp_path, sep, decimal, newline, encoding
):
    text = PUMPS.to_csv(index=False, sep=sep, decimal=decimal, lineterminator=newline)
    source = assert_read(write(tmp_path / "mine.csv", text.encode(encoding)), PUMPS)
    assert (source.format["separator"], source.format["decimal"]) == (sep, decimal)


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("gz", gzip.compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("zst", lambda content: pa.compress(content, "zstd", asbytes=True)),
        ("csv", gzip.compress),  # a wrong name
    ],
)
def test_compression_is_detected_from_the_content(tmp_path, suffix, compress):
    assert_read(write(tmp_path / f"mine.csv.{suffix}", compress(TEXT.encode())), PUMPS)


def test_an_archive_of_one_file_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("inner.csv", TEXT)
    assert_read(tmp_path / "mine.zip", PUMPS)


@pytest.mark.parametrize(
    "text",
    [
        "sep=,\n" + TEXT,
        "# exported 2024-05-01, by me\n\n" + TEXT,
        "Pump report\nof May\n\n" + TEXT,
        "Pump report,,,,,\n,,,,,\n" + TEXT,
        TEXT.replace(",", ", "),
        TEXT.replace(",", " , "),
        TEXT.replace("\n", ",\n"),
        TEXT.replace("\n", ",\n").replace(",\n", "\n", 1),
        TEXT.replace("\n", ",\n", 1),
        TEXT.replace("\n", "\n\n"),
        TEXT.replace("\n", "\n  \n", 3),
        TEXT + ",,,,,\n,,,,,\n",
        TEXT.rstrip("\n"),
        PUMPS.to_csv(index=False, quoting=1),
        PUMPS.to_csv(index=False, quoting=2),
    ],
    ids=lambda text: repr(text[:30]),
)
def test_lines_and_cells_that_are_no_data_are_left_out(tmp_path, text):
    assert_read(write(tmp_path / "mine.csv", text), PUMPS)


def test_the_names_of_columns_aligned_with_spaces_may_be_commented(tmp_path):
    np.savetxt(tmp_path / "mine.txt", NUMBERS, header=" ".join(NUMBERS))
    assert_read(tmp_path / "mine.txt", NUMBERS)


@pytest.mark.parametrize("index", [True, False])
def test_columns_aligned_with_spaces_are_read(tmp_path, index):
    path = write(tmp_path / "mine.dat", NUMBERS.to_string(index=index))
    expected = NUMBERS.reset_index(names="Unnamed: 0") if index else NUMBERS
    assert_read(path, expected)


def test_an_index_without_a_name_is_named_as_pandas_names_it(tmp_path):
    PUMPS.to_csv(tmp_path / "mine.csv")
    assert_read(tmp_path / "mine.csv", pd.read_csv(tmp_path / "mine.csv"))


@pytest.mark.parametrize("index", [PUMPS.index, PUMPS.index + 1, "row " + PUMPS.index.astype(str)])
def test_a_header_without_the_index_names_the_other_columns(tmp_path, index):
    frame = PUMPS.set_axis(index)
    path = write(tmp_path / "mine.csv", frame.to_csv().removeprefix(","))
    source = assert_read(path, frame.reset_index(names="Unnamed: 0"))
    assert "no name above the first column" in source.describe()


@pytest.mark.parametrize(
    "frame",
    [
        NUMBERS[["flow", "pressure"]],
        PUMPS,
        pd.DataFrame([[63, 1, None], [37, 2, 130], [41, 1, 7]]),
        pd.DataFrame([[0, "tcp", "http", 181], [0, "udp", "dns", 5], [3, "tcp", "http", 0]]),
    ],
)
def test_a_first_row_of_values_is_no_header(tmp_path, frame):
    frame.to_csv(tmp_path / "mine.csv", index=False, header=False)
    expected = frame.set_axis([f"f{i}" for i in range(1, frame.shape[1] + 1)], axis=1)
    source = assert_read(tmp_path / "mine.csv", expected)
    assert source.format["header"] is False
    assert f"no header: columns f1 to f{frame.shape[1]}" in source.describe()


@pytest.mark.parametrize(
    "text",
    [
        "country,2019,2020\nA,1,2\nB,3,4\n",
        "country,2000,2010\nA,1,2\nB,3,4\n",
        "0,1,2\n0.5,0.7,0.1\n0.1,0.2,0.3\n",
        "a,b\nx,y\nz,w\n",
        "site,value\nA,1\nB,2\n",
    ],
)
def test_names_that_are_numbers_or_words_are_a_header(tmp_path, text):
    path = write(tmp_path / "mine.csv", text)
    assert_read(path, pd.read_csv(path))


def test_names_of_numbers_follow_an_empty_cell_above_an_index(tmp_path):
    frame = pd.DataFrame({"1940": [22.2, 10.5], "1950": [59.6, 29.0]}, index=["food", "household"])
    text = frame.to_csv()
    source = open_table(write(tmp_path / "mine.csv", text))
    assert source.names == list(pd.read_csv(io.StringIO(text)).columns)


@pytest.mark.parametrize("header", ["a,b,a", "a,a,a", "a,a.1,a", "a,a,a.1"])
def test_repeated_names_get_a_number_as_in_pandas(tmp_path, header):
    text = f"{header}\n1,2,3\n4,5,6\n"
    source = open_table(write(tmp_path / "mine.csv", text))
    assert source.names == list(pd.read_csv(io.StringIO(text)).columns)
    assert f"repeated names: {', '.join(source.format['renamed'])}" in source.describe()


def test_short_rows_have_missing_cells_as_in_pandas(tmp_path):
    lines = TEXT.splitlines()
    lines[60] = "2024-01-09,1.5"
    path = write(tmp_path / "mine.csv", "\n".join([*lines, "2024-01-10,2.5,7"]))
    assert_read(path, pd.read_csv(path))


def test_short_rows_of_a_later_block_repeat_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr("hourglass.data.readers.csv_tables.BLOCK_BYTES", 1024)
    path = write(tmp_path / "mine.csv", TEXT + "2024-01-10,2.5\n" + "x,1,2,3,auto,ok\n")
    assert_read(path, pd.read_csv(path))


@pytest.mark.parametrize(
    ("text", "row", "cells"),
    [
        (TEXT + "\na,1,2,3,b,c,d\n", 121, "7 cells instead of 6"),
        ("a,b\n1,2\n4,5,6\n", 2, "3 cells instead of 2"),
        ("a,b\n1,2,3\n4,5,6\n7,8\n", 1, "3 cells instead of 2"),
        ("a,b\n1,2,3,4\n5,6,7,8\n", 1, "4 cells instead of 2"),
        ("a,b\n1,5,2\n1,7,3\n", 1, "3 cells instead of 2"),  # a decimal comma, no index
        ("a,b\n2.5,1,5\n3.5,1,7\n", 1, "3 cells instead of 2"),
    ],
)
def test_a_long_row_is_named_and_moves_no_cell(tmp_path, text, row, cells):
    path = write(tmp_path / "mine.csv", text)
    with pytest.raises(UserError, match=rf"^Row {row} of .*mine\.csv has {cells}"):
        rows_of(open_table(path))


def test_a_row_without_the_index_of_the_others_is_named(tmp_path):
    text = PUMPS.to_csv().removeprefix(",").replace("\n119,", "\n")
    path = write(tmp_path / "mine.csv", text)
    with pytest.raises(UserError, match=r"^Row 120 of .*mine\.csv has 6 cells instead of 7"):
        rows_of(open_table(path))


def test_quoted_cells_keep_separators_quotes_and_newlines(tmp_path):
    frame = PUMPS.assign(mode='a "q", b;\nline')
    frame.to_csv(tmp_path / "mine.csv", index=False)
    assert_read(tmp_path / "mine.csv", frame)


def test_a_quotation_mark_within_a_cell_is_kept(tmp_path):
    text = "size\tn\n" + '5" pipe\t1\n' * 3
    assert_read(
        write(tmp_path / "mine.tsv", text), pd.DataFrame({"size": ['5" pipe'] * 3, "n": [1] * 3})
    )


@pytest.mark.parametrize("rows", [3, 100_000])
def test_an_open_quotation_mark_hides_no_rows(tmp_path, rows):
    path = write(tmp_path / "mine.csv", 'a,b\n1,x\n2,"y\n' + "3,z\n" * rows)
    with pytest.raises(UserError, match="quotation mark in row 2 of"):
        rows_of(open_table(path))


def test_latin1_is_found_beyond_the_first_lines(tmp_path):
    frame = pd.concat([PUMPS] * 300 + [PUMPS.assign(mode="größe")], ignore_index=True)
    frame.to_csv(tmp_path / "mine.csv", index=False, encoding="latin-1")
    assert_read(tmp_path / "mine.csv", frame)


def test_another_encoding_beyond_the_searched_part_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("hourglass.data.readers.csv_stream.SCANNED_BYTES", 1000)
    text = TEXT + TEXT.split("\n", 1)[1] * 300 + "größe\n"
    path = write(tmp_path / "mine.csv", text.encode("latin-1"))
    with pytest.raises(UserError, match=r"mine\.csv cannot be read .*encoding: cp1252"):
        rows_of(open_table(path))
    assert len(rows_of(open_table(path, ReadOptions(encoding="latin-1")))) == 301 * len(PUMPS) + 1


@pytest.mark.parametrize(
    ("last", "left_out"),
    [
        ("Total,12.5,100,540,,", True),
        ("Summe:,,,,,", True),
        ("Total,12.5,100,540,auto,ok", True),  # where the others are dates
        ("2024-01-06 00:00:00,1,2,3,total,ok", False),
    ],
)
def test_a_row_of_totals_is_left_out_and_reported(tmp_path, last, left_out):
    path = write(tmp_path / "mine.csv", f"{TEXT}{last}\n")
    source = open_table(path)
    assert len(rows_of(source)) == len(PUMPS) + (not left_out)
    assert source.format["left_out_rows"] == ([last] if left_out else [])


def test_totals_of_named_rows_are_their_sum(tmp_path):
    path = write(tmp_path / "mine.csv", "site,cost\nnorth,10\nsouth,20\nTotal,30\n")
    assert_read(path, pd.DataFrame({"site": ["north", "south"], "cost": [10, 20]}))
    path = write(tmp_path / "mine.csv", "brand,cost\nshell,10\nesso,20\nTotal,25\n")
    assert len(rows_of(open_table(path))) == 3


def test_selected_columns_have_the_rows_of_the_whole_table(tmp_path):
    path = write(tmp_path / "mine.csv", TEXT + "Total,12.5,100,540,,\n")
    (batch,) = open_table(path).batches(["state", "flow"])
    assert batch.schema.names == ["state", "flow"]
    assert batch["state"].to_pylist() == PUMPS["state"].tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n  \n", "is empty"),
        (b"a,b,c\n", "has no rows"),
        (gzip.compress(TEXT.encode())[:-100], "cannot be read as a csv table"),
        (bytes(range(256)) * 20, "holds no text"),
        (bytes([0, 0, 5, 0, 0, 7]) * 20, "holds no text"),
    ],
)
def test_a_file_without_a_table_is_one_sentence(tmp_path, content, message):
    path = write(tmp_path / "mine.csv", content)
    with pytest.raises(UserError, match=message):
        rows_of(open_table(path))


def test_a_line_that_no_block_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("hourglass.data.readers.csv_layout.MAX_LINE_BYTES", 1000)
    path = write(tmp_path / "mine.csv", ",".join(map(str, range(1000))) + "\n")
    with pytest.raises(UserError, match="longer than 1,000 bytes"):
        open_table(path)


def test_a_line_may_be_longer_than_a_block(tmp_path):
    frame = pd.DataFrame(
        np.ones((3, 40_000)), columns=[f"a long name {i:050}" for i in range(40_000)]
    )
    frame.to_csv(tmp_path / "wide.csv", index=False)
    batch = pa.Table.from_batches(open_table(tmp_path / "wide.csv").batches(frame.columns[:2]))
    assert batch.to_pydict() == {name: ["1.0"] * 3 for name in frame.columns[:2]}


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("a;b\n1;2\n", {"sep": ","}, {"a;b": ["1;2"]}),
        ("a\tb;c\n1\t2;3\n", {"sep": "tab"}, {"a": [1], "b;c": ["2;3"]}),
        ("a;b\n1,234;2\n", {"decimal": "."}, {"a": [1234], "b": [2]}),
        ("a;b\n1,234;2\n", {"decimal": ","}, {"a": [1.234], "b": [2]}),
        ('a,b\n"1,234",2\n', {"thousands": ""}, {"a": ["1,234"], "b": [2]}),
        ("1,2\n3,4\n", {"header": True}, {"1": [3], "2": [4]}),
        ("a,b\nc,d\n", {"header": False}, {"f1": ["a", "c"], "f2": ["b", "d"]}),
        ("a,b\n1,2\n!x\n3,4\n", {"comment": "!"}, {"a": [1, 3], "b": [2, 4]}),
    ],
)
def test_options_override_what_is_detected(tmp_path, text, options, expected):
    assert_read(write(tmp_path / "mine.csv", text), pd.DataFrame(expected), **options)


def test_an_encoding_can_be_given(tmp_path):
    frame = pd.DataFrame({"имя": ["да", "нет"], "n": [1, 2]})
    path = write(tmp_path / "mine.csv", frame.to_csv(index=False).encode("cp1251"))
    assert_read(path, frame, encoding="cp1251")


@pytest.mark.parametrize(
    "options",
    [{"sep": ";;"}, {"decimal": "x"}, {"thousands": ".", "decimal": "."}, {"encoding": "utf-9"}],
    ids=str,
)
def test_a_wrong_option_is_named(tmp_path, options):
    path = write(tmp_path / "mine.csv", TEXT)
    with pytest.raises(UserError, match=str(next(iter(options)))):
        open_table(path, ReadOptions(**options))


def test_blocks_bound_the_memory(tmp_path):
    """Arrow reads ahead, but not the whole file."""
    path = write(tmp_path / "mine.csv", TEXT + TEXT.split("\n", 1)[1] * 5000)
    before = pa.total_allocated_bytes()
    most = max(pa.total_allocated_bytes() - before for _ in open_table(path).batches())
    assert most < path.stat().st_size
