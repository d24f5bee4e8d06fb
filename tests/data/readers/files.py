"""Tables as people have them, and what the reader makes of them."""

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa

from hourglass.data.readers.numbers import parse_numbers
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.readers.table_source import TableSource, open_table

ROWS = 120


def pumps() -> pd.DataFrame:
    """Return a table of dates, numbers and words."""
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=ROWS, freq="h").astype(str),
            "flow": random.normal(size=ROWS).round(3),
            "pressure": random.lognormal(8, 2, ROWS).round(2),
            "count": random.integers(0, 9, ROWS),
            "mode": random.choice(["auto", "manual", "off"], ROWS),
            "state": random.choice(["ok", "fault"], ROWS),
        }
    )


def write(path: Path, content: str | bytes) -> Path:
    """Write a file."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(source: TableSource) -> pa.Table:
    """Return all rows."""
    return pa.Table.from_batches(list(source.batches()))


def assert_read(path: Path, expected: pd.DataFrame, **options: Any) -> TableSource:
    """Check names, rows, texts and numbers of a table against those of `expected`."""
    source = open_table(path, ReadOptions(**options))
    found = rows_of(source)
    assert source.names == list(expected.columns)
    assert len(found) == len(expected)
    for name in source.names:
        column = found[name].combine_chunks()
        if pd.api.types.is_numeric_dtype(expected[name]):
            numbers = parse_numbers(column, source.numbers).to_numpy(zero_copy_only=False)
            np.testing.assert_array_equal(numbers, expected[name].to_numpy(float, na_value=np.nan))
        else:
            texts = [None if pd.isna(value) else value for value in expected[name]]
            assert column.to_pylist() == texts
    return source


def write_sheets(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    """Write an .xlsx file with numbers and texts."""
    with ZipFile(path, "w") as file:
        names = "".join(
            f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets, 1)
        )
        links = "".join(
            f'<Relationship Id="r{i}" Type="{RELATIONS}/worksheet" Target="worksheets/s{i}.xml"/>'
            for i in range(1, len(sheets) + 1)
        )
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r" '
            f'Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{SHEETS}" xmlns:r="{RELATIONS}"><sheets>{names}</sheets></workbook>',
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}">{links}</Relationships>',
        )
        for i, rows in enumerate(sheets.values(), 1):
            data = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
            file.writestr(
                f"xl/worksheets/s{i}.xml",
                f'<worksheet xmlns="{SHEETS}"><sheetData>{data}</sheetData></worksheet>',
            )
    return path


SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def _cell(value: Any) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f"<c><v>{value!r}</v></c>"
