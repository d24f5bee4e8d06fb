"""Escaping of CSV text that a spreadsheet would run as a formula."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from hourglass.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

VARIABLE = "HOURGLASS_CSV_FORMULAS"
FORMULA = r"^[=+\-@\t\r]"
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def escape_requested() -> bool:
    """Return False if HOURGLASS_CSV_FORMULAS is `keep`; raise a UserError if it is invalid.

    Outputs of stages do not depend on it, because DVC would not see a change of the variable.
    """
    setting = os.environ.get(VARIABLE, "escape")
    if setting not in ("escape", "keep"):
        raise UserError(f"{VARIABLE} is {setting!r}; set it to escape or keep.")
    return setting == "escape"


def escape_formulas(column: pa.Array) -> pa.Array:
    """Put an apostrophe before text that begins like a formula and is not a number.

    Spreadsheets then show the text.
    """
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, escape_formulas(column.dictionary))
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    number = pc.match_substring_regex(column, NUMBER)
    formula = pc.and_(pc.match_substring_regex(column, FORMULA), pc.invert(number))
    apostrophe, empty = pa.scalar("'", column.type), pa.scalar("", column.type)
    return pc.if_else(formula, pc.binary_join_element_wise(apostrophe, column, empty), column)


def unescaped(text: str) -> str:
    """Return the text before it was escaped, for readers that do not run formulas."""
    inner = text[1:]
    escaped = text.startswith("'") and re.match(FORMULA, inner) and not re.match(NUMBER, inner)
    return inner if escaped else text


def write_csv(table: "pd.DataFrame", path: Path) -> None:
    """Write a table without its index, with formulas in its columns of text escaped."""
    from pandas.api.types import infer_dtype

    table = table.copy()
    for name in table:
        if infer_dtype(table[name]) == "string":
            table[name] = escape_formulas(pa.array(table[name], from_pandas=True)).to_pylist()
    table.to_csv(path, index=False, lineterminator="\n")
