"""Detection of the decimal mark and the thousands separator of the numbers in a text file."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from hourglass.data.readers.numbers import APOSTROPHES, SPACES

MAX_CELLS = 100_000  # that are searched for decimal marks
WITH_MARK = re.compile(rf"[+-]?(\d+(?:[.,{APOSTROPHES} {SPACES}]\d+)*)(?:[eE][+-]?\d+)?")
GROUPS = re.compile(rf"[1-9]\d{{0,2}}([.,{APOSTROPHES} {SPACES}])\d{{3}}(?:\1\d{{3}})*")


def number_marks(rows: Sequence[Sequence[str]], separator: str) -> tuple[str | None, str | None]:
    """Return the decimal mark and the thousands separator that most numbers have, or None."""
    decimals, thousands, unclear = Counter[str](), Counter[str](), Counter[str]()
    cells = (cell.strip(" %$€£\t") for row in rows for cell in row)
    for cell in islice(cells, MAX_CELLS):
        match = WITH_MARK.fullmatch(cell)
        marks = re.sub(r"\d", "", match[1]) if match else ""
        if match is None or not marks:
            continue
        last, others = marks[-1], set(marks[:-1])
        if others and (last in others or len(others) > 1):  # 1,234,567, or a date
            thousands.update(last if GROUPS.fullmatch(match[1]) and len(set(marks)) == 1 else "")
        elif last in ".,":
            clear = bool(others) or not GROUPS.fullmatch(match[1])
            (decimals if clear else unclear).update(last)
            thousands.update(others)
        elif GROUPS.fullmatch(match[1]):
            thousands.update(last)
    decimal = max(decimals, key=decimals.__getitem__, default=None)
    if decimal is None and unclear:  # such as 1,234: semicolons separate where commas are decimal
        comma = unclear[","] > unclear["."]
        decimal = "," if comma and separator != "," and not thousands[","] else "."
    separators = [mark for mark in thousands if mark != decimal]
    usual = max(separators, key=thousands.__getitem__, default=None)
    if decimal is None and usual in (".", ","):
        decimal = "," if usual == "." else "."
    return decimal, usual
