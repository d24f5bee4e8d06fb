"""Whatever cells are written in whatever format, the same cells are read."""

import csv
import gzip
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from hourglass.data.readers.csv_tail import TOTALS
from hourglass.data.readers.numbers import parse_numbers
from hourglass.data.readers.table_source import open_table
from tests.data.readers.files import rows_of

WORDS = st.text(
    st.characters(exclude_categories=["C", "Z"], include_characters=' ,;|"\n\t'), max_size=12
).filter(lambda text: text.strip(": ").lower() not in TOTALS)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.none()
ROWS = st.lists(st.tuples(WORDS, NUMBERS, st.integers(-(10**15), 10**15)), min_size=1, max_size=30)


@settings(max_examples=150, deadline=None)
@given(
    ROWS,
    st.sampled_from([(",", "."), (";", ","), (";", "."), ("\t", ","), ("|", ".")]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_cells_are_those_that_were_written(
    tmp_path_factory, rows, marks, encoding, newline, packed
):
    separator, decimal = marks
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=newline)
    writer.writerow(["note", "flow", "count"])
    for note, flow, count in rows:
        number = "" if flow is None else repr(flow).replace(".", decimal)
        writer.writerow([note, number, count])
    content = text.getvalue().encode(encoding)
    path = tmp_path_factory.mktemp("round") / "mine.csv"
    path.write_bytes(gzip.compress(content) if packed else content)
    source = open_table(path)
    found = rows_of(source)
    assert source.names == ["note", "flow", "count"]
    assert found["note"].to_pylist() == [note.strip() or None for note, _, _ in rows]
    expected = [(flow, count) for _, flow, count in rows]
    if any(flow is not None and flow % 1 for flow, _ in expected):  # shows the decimal mark
        columns = (found[name].combine_chunks() for name in ("flow", "count"))
        parsed = [parse_numbers(column, source.numbers).to_pylist() for column in columns]
        assert list(zip(*parsed, strict=True)) == [(f, float(c)) for f, c in expected]
