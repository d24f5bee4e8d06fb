"""Parquet, Feather and Arrow files, against Arrow's and pandas' own readers."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from hourglass.core.errors import UserError
from hourglass.data.readers.table_source import open_table
from tests.data.readers.files import rows_of

TABLE = pa.table(
    {
        "time": pa.array(
            [datetime.datetime(2024, 5, 1), None], pa.timestamp("us", "Europe/Berlin")
        ),
        "mode": pa.array(["auto", None]).dictionary_encode(),
        "running": [True, None],
        "cost": pa.array([Decimal("1.50"), None]),
        "count": pa.array([1, None], pa.int64()),
        "flow": [1.5, None],
        "note": pa.array(["a", None], pa.large_string()),
    }
)


def write_stream(table, path):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


WRITERS = {
    "mine.parquet": parquet.write_table,
    "mine.pq": lambda table, path: parquet.write_table(table, path, compression="zstd"),
    "mine.feather": feather.write_feather,
    "mine.arrow": write_stream,
    "a folder ä/mine.csv": parquet.write_table,  # a wrong name
}


@pytest.mark.parametrize("name", WRITERS)
def test_types_and_nulls_are_kept(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    WRITERS[name](TABLE, path)
    source = open_table(path)
    assert not source.text
    assert rows_of(source).equals(TABLE)


def test_an_index_of_pandas_is_a_column_if_it_has_a_name(tmp_path):
    frame = pd.DataFrame({"flow": [1.5, 2.5]}, index=pd.Index(["a", "b"]))
    frame.to_parquet(tmp_path / "unnamed.parquet")
    frame.rename_axis("pump").to_parquet(tmp_path / "named.parquet")
    assert open_table(tmp_path / "unnamed.parquet").names == ["flow"]
    assert open_table(tmp_path / "named.parquet").names == ["flow", "pump"]


# Arrow cannot read a missing list of fixed size from Parquet.
@pytest.mark.parametrize(("name", "size"), [("mine.parquet", -1), ("mine.feather", 2)])
def test_lists_of_one_length_are_columns(tmp_path, name, size):
    values = [[1.5, 2.5], None, [3.5, None]]
    table = pa.table({"code": pa.array(values, pa.list_(pa.float64(), size)), "n": [1, 2, 3]})
    WRITERS[name](table, tmp_path / name)
    assert rows_of(open_table(tmp_path / name)).to_pydict() == {
        "code_0": [1.5, None, 3.5],
        "code_1": [2.5, None, None],
        "n": [1, 2, 3],
    }


def test_a_list_of_another_length_is_named(tmp_path):
    lists = [[1.0, 2.0]] * 40_000 + [[1.0]]
    parquet.write_table(pa.table({"code": lists}), tmp_path / "mine.parquet")
    with pytest.raises(UserError, match=r"'code' .* a list of length 1 in row 40001 instead of 2"):
        rows_of(open_table(tmp_path / "mine.parquet"))


@pytest.mark.parametrize(
    "values", [[["a"], ["b"]], [{"x": 1}, {"x": 2}], [b"a", b"b"], [[1], [1, 2]]]
)
def test_other_columns_without_single_values_are_refused_by_name_when_read(tmp_path, values):
    parquet.write_table(pa.table({"tags": values, "n": [1, 2]}), tmp_path / "mine.parquet")
    source = open_table(tmp_path / "mine.parquet")
    with pytest.raises(UserError, match=r"Column 'tags' of .*`drop: \[tags\]`"):
        rows_of(source)
    assert pa.Table.from_batches(source.batches(["n"])).to_pydict() == {"n": [1, 2]}


@pytest.mark.parametrize("content", [b"PAR1" + bytes(100), b"no parquet"])
def test_a_damaged_file_is_one_sentence(tmp_path, content):
    (tmp_path / "mine.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.parquet cannot be read as a parquet table"):
        open_table(tmp_path / "mine.parquet")


@pytest.mark.parametrize("name", ["mine.parquet", "mine.feather"])
def test_a_table_without_rows_is_refused(tmp_path, name):
    WRITERS[name](TABLE.slice(0, 0), tmp_path / name)
    with pytest.raises(UserError, match="has no rows"):
        open_table(tmp_path / name)


def test_a_large_row_group_is_read_in_parts(tmp_path):
    """A row group of 80 MB is decoded a part at a time."""
    table = pa.table({str(i): np.arange(2_000_000.0) for i in range(5)})
    parquet.write_table(table, tmp_path / "mine.parquet", row_group_size=len(table))
    del table
    before = pa.total_allocated_bytes()
    batches = open_table(tmp_path / "mine.parquet").batches()
    most = max(pa.total_allocated_bytes() - before for _ in batches)
    assert most < 40 << 20
