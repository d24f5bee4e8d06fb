"""One file of a table, as its reader returns it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

Batches: TypeAlias = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class FileTable:
    """Columns and format of a file, and the function that reads it.

    `read` yields the columns of the given names, in that order, as often as it is called. `text`
    says whether all columns are text. `left_out` holds a row of totals at the end, once
    the file was read.
    """

    path: Path
    names: list[str]
    format: dict[str, Any]  # JSON values
    read: Callable[[Sequence[str]], Batches]
    text: bool = True
    decimal: str | None = None  # None: no number shows it
    thousands: str | None = None
    types: dict[str, pa.DataType] = field(default_factory=dict)  # of a file that has types
    left_out: list[str] = field(default_factory=list)
