"""The table of columns that `prepare` and `add` print: kind, missing share, values, decision."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

MAX_COLUMNS_SHOWN = 40  # of a wider table: the number of each kind, and the columns left out
MAX_NAMES_SHOWN = 8
MAX_CELL = 60
HEADER = ("column", "kind", "missing", "values", "decision")


def column_lines(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of the table; `columns` are those of `Decision.to_dict`."""
    if len(columns) <= MAX_COLUMNS_SHOWN:
        rows = [HEADER, *(_cells(column) for column in columns)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER) - 1)]
        return [
            "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]])
            for row in rows
        ]
    used = [column for column in columns if column["used"]]
    kinds = Counter(column["kind"] for column in used)
    shown = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    missing = sum(column["missing"] > 0 for column in used)
    lines = [f"features: {len(used):,} of {len(columns):,} columns ({shown})"]
    lines += [f"with missing cells: {missing:,} of them"] if missing else []
    noted = [column for column in used if column["notes"]]
    lines += [
        f"{_short(column['name'])}: {column['decision']}" for column in noted[:MAX_COLUMNS_SHOWN]
    ]
    if len(noted) > MAX_COLUMNS_SHOWN:
        lines.append(f"more columns with unusual cells: {len(noted) - MAX_COLUMNS_SHOWN:,}")
    dropped: dict[str, list[str]] = {}
    for column in columns:
        if not column["used"]:
            dropped.setdefault(column["reason"], []).append(_short(column["name"]))
    for reason, names in dropped.items():
        more = f" and {len(names) - MAX_NAMES_SHOWN:,} more" if len(names) > MAX_NAMES_SHOWN else ""
        lines.append(f"{', '.join(names[:MAX_NAMES_SHOWN])}{more}: dropped, {reason}")
    return lines


def _cells(column: Mapping[str, Any]) -> tuple[str, ...]:
    missing = f"{column['missing']:.1%}" if column["missing"] else ""
    values = (
        column["distinct"] if isinstance(column["distinct"], str) else f"{column['distinct']:,}"
    )
    return _short(column["name"]), column["kind"], missing, values, column["decision"]


def _short(text: str) -> str:
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 3]}..."
