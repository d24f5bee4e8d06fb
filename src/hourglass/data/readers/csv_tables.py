"""Reader of CSV files: Arrow's parser on the rows, as text, in constant memory."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.readers.csv_layout import CsvLayout, detect_layout
from hourglass.data.readers.csv_records import BLANK, SPACE
from hourglass.data.readers.csv_stream import (
    BlockFile,
    Blocks,
    Opener,
    detect_compression,
    detect_encoding,
    open_file,
    read_blocks,
)
from hourglass.data.readers.csv_tail import without_tail
from hourglass.data.readers.file_table import Batches, FileTable
from hourglass.data.readers.numbers import NumberFormat
from hourglass.data.readers.read_options import ReadOptions

BLOCK_BYTES = 2 << 20  # Arrow holds about thirty blocks at once
CHUNK_ROWS = 1000  # that Python writes at once for Arrow
SPACES = re.compile(rb"[ \t]+")
QUOTED_OR_SPACES = re.compile(rb'("[^"\n]*")|[ \t]+')
EDGES = re.compile(rb"(?m)^[ \t]+|[ \t]+$")


def open_csv(path: Path, options: ReadOptions, opener: Opener | None = None) -> FileTable:
    """Return the table in a CSV file, compressed or not.

    `opener` replaces the file by content in memory, which is parsed at once and without threads.
    Raises a UserError if the file is empty.
    """
    in_memory = opener is not None
    compression = None if in_memory else detect_compression(path)
    opener = opener or partial(open_file, path)
    encoding = options.encoding or detect_encoding(opener)
    layout = detect_layout(path, read_blocks(opener, encoding), options)
    form = {
        "kind": "csv",
        "separator": layout.separator,
        "encoding": encoding,
        "compression": compression,
        "header": layout.header,
        "index": layout.index,
        "renamed": layout.renamed,
        "skipped_lines": layout.skipped_lines,
    }
    reader = _CsvReader(path, opener, encoding, layout, options.comment, in_memory)
    return FileTable(
        path,
        layout.names,
        form,
        reader.read,
        decimal=layout.decimal,
        thousands=layout.thousands,
        left_out=reader.left_out,
    )


class _CsvReader:
    """Reader of the rows of a CSV file.

    Arrow's parser rejects rows that lack cells. Python completes those, in a file that has some.
    """

    def __init__(
        self,
        path: Path,
        opener: Opener,
        encoding: str,
        layout: CsvLayout,
        comment: str | None,
        in_memory: bool,
    ) -> None:
        self.path = path
        self.opener = opener
        self.encoding = encoding
        self.layout = layout
        self.comment = comment
        self.in_memory = in_memory
        self.separator = "\t" if layout.separator == SPACE else layout.separator
        self.left_out = list[str]()
        self.ragged = comment is not None
        self.quotes = 0  # in the rows that were read

    def read(self, columns: Sequence[str]) -> Batches:
        """Yield columns, whose names may repeat."""
        done = 0
        if not self.ragged:
            try:
                for batch in self._parse(self._rows(), columns):
                    yield batch
                    done += len(batch)
                if self.quotes % 2:
                    deque(self._records(self._rows()), maxlen=0)  # raises if one is open
                return
            except pa.ArrowInvalid:  # Python completes the rows, or finds the one to name
                self.ragged = True
        for batch in self._parse(self._completed(self._rows()), columns):
            if len(batch) > done:
                yield batch[done:]
            done = max(done - len(batch), 0)

    def _rows(self) -> Blocks:
        """Yield the rows, with this reader's separator."""
        blocks = _skip(read_blocks(self.opener, self.encoding), self.layout.data_start)
        if self.layout.separator == SPACE:
            blocks = map(_tab_separated, _whole_lines(blocks))
        numbers = NumberFormat(self.layout.decimal or ".", self.layout.thousands)
        self.quotes = 0
        for block in without_tail(blocks, self.separator, numbers, self.left_out):
            self.quotes += block.count(b'"')
            yield block

    def _parse(self, rows: Blocks, columns: Sequence[str]) -> Batches:
        places = {name: i for i, name in enumerate(self.layout.names)}
        indices = [places[name] for name in columns]
        numbered = [str(i) for i in range(self.layout.width)]
        first = next(rows, b"")
        if not first:
            return  # Arrow rejects an empty file
        read = arrow_csv.ReadOptions(
            block_size=max(BLOCK_BYTES, 4 * self.layout.longest_line),
            column_names=numbered,
            use_threads=False,  # they save no time, since the cells stay text
        )
        parse = arrow_csv.ParseOptions(
            delimiter=self.separator,
            newlines_in_values=True,
            invalid_row_handler=lambda row: "error" if row.text.strip() else "skip",
        )
        convert = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(numbered, pa.string()),
            include_columns=[numbered[i] for i in indices],
            null_values=[""],
            strings_can_be_null=True,
            check_utf8=False,  # the stream was checked
        )
        for batch in self._batches(chain([first], rows), read, parse, convert):
            cells = [_trimmed(column) for column in batch.columns]
            yield pa.RecordBatch.from_arrays(cells, names=list(columns))

    def _batches(self, rows: Blocks, read: Any, parse: Any, convert: Any) -> Batches:
        if self.in_memory:
            content = b"".join(rows)
            read.block_size = len(content) + 1
            table = arrow_csv.read_csv(pa.BufferReader(content), read, parse, convert)
            yield from table.to_batches()
            return
        file = pa.PythonFile(BlockFile(rows), mode="r")
        with arrow_csv.open_csv(file, read, parse, convert) as reader:
            yield from reader

    def _completed(self, rows: Blocks) -> Blocks:
        """Yield the rows, each one with a cell per column; raises a UserError for a longer row.

        A shorter row misses cells at its end. It is an error in a table with an index that the
        header lacks, where it may be the index that is missing.
        """
        width = self.layout.width
        numbered = enumerate(self._records(rows), 1)
        while chunk := list(islice(numbered, CHUNK_ROWS)):
            written = io.StringIO(newline="")
            writer = csv.writer(written, delimiter=self.separator)
            for row, cells in chunk:
                short = self.layout.index and len(cells) < width  # of the index, or at the end
                if short or any(cell.strip() for cell in cells[width:]):
                    raise UserError(
                        f"Row {row} of {self.path} has {counted(len(cells), 'cell')} instead of "
                        f"{width}; correct it, or put cells that hold {self.separator!r} in quotes."
                    )
                writer.writerow(cells[:width] + [""] * (width - len(cells)))
            yield written.getvalue().encode()

    def _records(self, rows: Blocks) -> Iterator[list[str]]:
        """Yield the cells of rows; raises a UserError if a quotation mark is not closed."""
        lines = list[str]()  # of the record

        def read_lines() -> Iterator[str]:
            for line in io.TextIOWrapper(io.BufferedReader(BlockFile(rows)), "utf-8", newline=""):
                if not (self.comment and line.startswith(self.comment)):
                    lines.append(line)
                    yield line

        row, last = 0, list[str]()
        try:
            for cells in csv.reader(read_lines(), delimiter=self.separator):
                last = lines.copy()
                lines.clear()
                if [cell.strip() for cell in cells[:2]] not in BLANK:
                    row += 1
                    yield cells
        except csv.Error as error:  # a cell of more than 131,072 characters
            raise self._open_quote(row + 1) from error
        try:
            list(csv.reader(last, delimiter=self.separator, strict=True))
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise self._open_quote(row) from error

    def _open_quote(self, row: int) -> UserError:
        return UserError(
            f"a quotation mark in row {row} of {self.path} is not closed, or a cell is longer than "
            f'{csv.field_size_limit():,} characters; write "" for a mark within a cell in quotes.'
        )


def _trimmed(column: pa.Array) -> pa.Array:
    """Return text without spaces around it; null if nothing is left."""
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _skip(blocks: Blocks, size: int) -> Blocks:
    """Yield the blocks without their first `size` bytes."""
    for block in blocks:
        if size < len(block):
            yield block[size:]
        size = max(size - len(block), 0)


def _whole_lines(blocks: Blocks) -> Blocks:
    rest = b""
    for block in blocks:
        lines, newline, rest = (rest + block).rpartition(b"\n")
        yield lines + newline
    yield rest


def _tab_separated(lines: bytes) -> bytes:
    """Return lines whose columns are aligned with spaces, with one tab between cells."""
    lines = EDGES.sub(b"", lines)
    if b'"' not in lines:
        return SPACES.sub(b"\t", lines)
    return QUOTED_OR_SPACES.sub(lambda match: match[1] or b"\t", lines)
