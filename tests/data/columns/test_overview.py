"""The printed table of columns."""

from hourglass.data.columns.column import Column
from hourglass.data.columns.decision import Decision
from hourglass.data.columns.overview import MAX_COLUMNS_SHOWN, column_lines


def rows(count: int, *notes: str) -> list[dict]:
    """Return `count` rows of the table of columns, all with these notes."""
    return [
        Decision(f"x{i}", "numeric", Column(f"x{i}"), 90, 0, 90, False, notes=notes).to_dict()
        for i in range(count)
    ]


def test_a_wide_table_lists_every_column_with_a_note():
    note = "no number, but missing: 1 cell such as 'high' in row 8"
    lines = column_lines([*rows(1, note), *rows(MAX_COLUMNS_SHOWN)])
    assert lines[1:] == [f"x0: used; {note}"]


def test_a_wide_table_with_many_notes_counts_the_rest():
    lines = column_lines(rows(MAX_COLUMNS_SHOWN + 2, "infinite in 1 cell"))
    assert len(lines) == MAX_COLUMNS_SHOWN + 2
    assert lines[-1] == "more columns with unusual cells: 2"
