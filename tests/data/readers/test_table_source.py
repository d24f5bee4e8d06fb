"""Tables of several files: patterns, folders and partitions."""

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import dataset, parquet

from hourglass.core.errors import UserError
from hourglass.data.readers.table_paths import is_table
from hourglass.data.readers.table_source import open_table
from tests.data.readers.files import assert_read, pumps, rows_of, write

PUMPS = pumps()
HALVES = [PUMPS.iloc[:60], PUMPS.iloc[60:]]


@pytest.mark.parametrize("place", ["", "*.csv", "**/half_[12].csv"])
def test_a_folder_or_pattern_is_one_table(tmp_path, place):
    for i, half in enumerate(HALVES, 1):
        half.to_csv(tmp_path / f"half_{i}.csv", index=False)
    write(tmp_path / "_SUCCESS", "")
    write(tmp_path / ".half_1.csv.swp", "x")
    source = assert_read(tmp_path / place, PUMPS)
    assert [file.name for file in source.files] == ["half_1.csv", "half_2.csv"]
    assert source.format["files"] == 2


def test_files_may_have_their_columns_in_another_order(tmp_path):
    HALVES[0].to_csv(tmp_path / "1.csv", index=False)
    HALVES[1][PUMPS.columns[::-1]].to_csv(tmp_path / "2.csv", index=False, sep=";")
    assert_read(tmp_path, PUMPS)


@pytest.mark.parametrize("wrong", ["flow", "more"])
def test_files_with_other_columns_are_named(tmp_path, wrong):
    HALVES[0].to_csv(tmp_path / "1.csv", index=False)
    other = HALVES[1].drop(columns=wrong) if wrong in PUMPS else HALVES[1].assign(more=1)
    other.to_csv(tmp_path / "2.csv", index=False)
    with pytest.raises(UserError, match=rf"\.csv has no column '{wrong}', which .*\.csv has"):
        open_table(tmp_path)


def test_files_with_another_decimal_mark_are_refused(tmp_path):
    HALVES[0].to_csv(tmp_path / "1.csv", index=False, sep=";", decimal=",")
    HALVES[1].to_csv(tmp_path / "2.csv", index=False, sep=";")
    with pytest.raises(
        UserError, match=r"decimal point in .*2\.csv and a decimal comma in .*1\.csv"
    ):
        open_table(tmp_path)


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_names_of_folders_are_columns_as_in_arrow(tmp_path, format):
    table = pa.Table.from_pandas(PUMPS, preserve_index=False)
    table = table.append_column("site", pa.array(["a b/c", "d"] * 60)).append_column(
        "year", pa.array([2024, 2025] * 60)
    )
    parts = dataset.partitioning(
        pa.schema([table.field("site"), table.field("year")]), flavor="hive"
    )
    dataset.write_dataset(table, tmp_path / "set", format=format, partitioning=parts)
    found = rows_of(open_table(tmp_path / "set"))
    expected = dataset.dataset(tmp_path / "set", format=format, partitioning=parts).to_table()
    assert found["site"].to_pylist() == expected["site"].to_pylist()
    assert list(map(int, found["year"].to_pylist())) == expected["year"].to_pylist()
    assert found["when"].to_pylist() == expected["when"].cast(pa.string()).to_pylist()


def test_only_the_names_of_folders_can_be_read(tmp_path):
    for site, half in zip("ab", HALVES, strict=True):
        folder = tmp_path / f"site={site}"
        folder.mkdir()
        half.to_parquet(folder / "x.parquet")
    found = pa.Table.from_batches(open_table(tmp_path).batches(["site"]))
    assert found["site"].to_pylist() == ["a"] * 60 + ["b"] * 60


def test_types_that_differ_between_files_are_unified(tmp_path):
    parquet.write_table(pa.table({"a": [1, 2]}), tmp_path / "1.parquet")
    parquet.write_table(pa.table({"a": [2.5, None]}), tmp_path / "2.parquet")
    assert rows_of(open_table(tmp_path))["a"].to_pylist() == [1.0, 2.0, 2.5, None]


def test_formats_of_a_folder_must_be_alike(tmp_path):
    PUMPS.to_csv(tmp_path / "1.csv")
    PUMPS.to_parquet(tmp_path / "2.parquet")
    with pytest.raises(UserError, match=r"several formats, \.csv and \.parquet"):
        open_table(tmp_path)


def test_links_spaces_and_other_letters_in_paths_are_read(tmp_path):
    path = tmp_path / "Meine Pümpen ü.csv"
    PUMPS.to_csv(path, index=False)
    (tmp_path / "link.csv").symlink_to(path)
    assert_read(path, PUMPS)
    assert_read(tmp_path / "link.csv", PUMPS)


def test_a_pattern_may_be_a_name(tmp_path):
    PUMPS.to_csv(tmp_path / "pumps[1].csv", index=False)
    assert_read(tmp_path / "pumps[1].csv", PUMPS)


@pytest.mark.parametrize("name", ["mine.csv", "*.csv"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(UserError, match=r"\.csv does not exist"):
        open_table(tmp_path / name)


def test_a_missing_column_is_named_with_the_nearest(tmp_path):
    PUMPS.to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(UserError, match="no column 'flwo': did you mean 'flow'"):
        next(open_table(tmp_path / "mine.csv").batches(["flwo"]))


def test_a_folder_of_images_is_no_table(tmp_path):
    write(tmp_path / "1.png", "")
    write(tmp_path / "labels.txt", "good")
    assert not is_table(tmp_path)
    assert is_table(tmp_path / "x.csv.gz")
    assert not is_table(tmp_path / "x.npz")


def test_a_pass_can_be_repeated_and_given_up(tmp_path):
    pd.concat([PUMPS] * 300).to_csv(tmp_path / "mine.csv", index=False)
    source = open_table(tmp_path / "mine.csv")
    next(source.batches())
    assert rows_of(source).equals(rows_of(source))
