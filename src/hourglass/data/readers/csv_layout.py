"""Detection of the layout of a CSV file: separator, header, number marks and first row."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hourglass.core.errors import UserError
from hourglass.data.readers.csv_header import NUMBER, count_up, is_header
from hourglass.data.readers.csv_stream import Blocks
from hourglass.data.readers.number_marks import WITH_MARK, number_marks
from hourglass.data.readers.read_options import ReadOptions

MAX_LINE_BYTES = 16 << 20
SAMPLE_LINES = 100
MAX_RECORDS = 200
MAX_PREAMBLE = 20  # records before the header
SEPARATORS = ("\t", ";", "|", ",")  # the first one of several that fit
SPACE = " "  # stands for any number of spaces and tabs
COMMENTS = ("#", "%", "//")  # of lines before the header
MIN_SHARE = 0.5  # of the records with the most frequent number of cells
SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's first line
WORDS = re.compile(r'"[^"]*"|[^\s"]+')

CONTROL = re.compile(r"[\0-\x08\x0e-\x1f]")

BLANK: tuple[list[str], ...] = ([], [""])  # records of a blank line

Record = tuple[list[str], int]  # the cells, and the number of lines up to the next record


@dataclass(frozen=True)
class CsvLayout:
    """Layout of a CSV file.

    A row has `width` cells. Those after the names are empty, from a separator at the end of lines.
    With `index`, the header has no cell for the first column. `decimal` and `thousands` are None
    without a number that shows them.
    """

    separator: str
    names: list[str]
    width: int
    header: bool
    index: bool
    renamed: list[str]  # repeated names, with the number appended to them
    skipped_lines: int  # before the header
    data_start: int  # in bytes of UTF-8
    longest_line: int  # in bytes, of the first ones
    decimal: str | None
    thousands: str | None


def detect_layout(path: Path, blocks: Blocks, options: ReadOptions) -> CsvLayout:
    """Return the layout of the file with the given content; `path` is for messages.

    The separator is the one that gives most records the same number of cells. Lines before the
    header are skipped if they are comments, or have fewer cells. Raises a UserError if the file is
    empty or has no rows.
    """
    lines = _first_lines(path, blocks)
    declared = SEP_LINE.fullmatch(lines[0])
    start = int(declared is not None)
    marks = (*COMMENTS, *([options.comment] if options.comment else ()))
    while start < len(lines) and (not lines[start].strip() or lines[start].startswith(marks)):
        start += 1
    if start == len(lines):
        raise _no_rows(path)
    kept = [
        i
        for i in range(start, len(lines))
        if not (options.comment and lines[i].startswith(options.comment))
    ]
    body = [lines[i] for i in kept]
    separator = options.separator or (declared[1] if declared else _separator(body))
    records = list(_records(body, separator))
    if not records:
        raise _no_rows(path)
    width = _usual_width(records[1:] or records, len(records[0][0]))
    first = 0 if options.header else _preamble(records, width)
    cells, count = records[first]
    rows = [row for row, _ in records[first + 1 :]]
    before = kept[records[first - 1][1] - 1] + 1 if first else start
    header = is_header(cells, rows) if options.header is None else options.header
    commented = None
    if header:
        if not rows:
            raise _no_rows(path)
        width = _width_below(cells, rows, width)
        names = _names(cells, rows, width)
    else:
        rows.insert(0, cells)
        if options.header is None:
            commented = _commented(lines[:start], separator, width)
        header = commented is not None
        names = commented or _numbered(rows, width)
    data = before if rows[0] is cells else kept[count - 1] + 1
    renamed = _make_unique(names)
    decimal, thousands = number_marks(rows, separator)
    if options.thousands in (".", ","):
        decimal = "," if options.thousands == "." else "."
    return CsvLayout(
        separator=separator,
        names=names,
        width=width,
        header=header,
        index=header and len(names) > len(cells),
        renamed=renamed,
        skipped_lines=before - (commented is not None),
        data_start=sum(len(line.encode(errors="surrogateescape")) for line in lines[:data]),
        longest_line=max(map(len, lines)),
        decimal=options.decimal or decimal,
        thousands=thousands if options.thousands is None else options.thousands,
    )


def _first_lines(path: Path, blocks: Blocks) -> list[str]:
    """Return the first lines, with their ends; at least one that is not blank."""
    head = b""
    complete = False
    while not complete and (
        not head.strip() or head.count(b"\n") + head.count(b"\r") < SAMPLE_LINES
    ):
        block = next(blocks, b"")
        head, complete = head + block, not block
        if len(head) > MAX_LINE_BYTES and not re.search(rb"[\r\n]", head[:MAX_LINE_BYTES]):
            raise UserError(
                f"the first line of {path} is longer than {MAX_LINE_BYTES:,} bytes; give a table "
                "with fewer columns."
            )
        if len(head) > MAX_LINE_BYTES:
            break
    text = head.decode(errors="surrogateescape").removeprefix("\ufeff")
    lines = list(io.StringIO(text, newline=""))
    if len(CONTROL.findall(text)) > len(text) / 100:
        raise UserError(f"{path} holds no text; give a table, with the suffix of its format.")
    if not text.strip():
        raise UserError(f"{path} is empty; give a table with a header and rows.")
    return lines if complete or len(lines) == 1 else lines[:-1]


def _records(lines: Sequence[str], separator: str) -> Iterator[Record]:
    """Yield the first records that are not blank."""
    if separator == SPACE:
        split = ((split_words(line), i) for i, line in enumerate(lines, 1))
        yield from islice(((cells, i) for cells, i in split if cells), MAX_RECORDS)
        return
    reader = csv.reader(lines, delimiter=separator)
    count = 0
    with suppress(csv.Error):  # a cell that does not end, which the reader of all rows names
        for cells in reader:
            if [cell.strip() for cell in cells[:2]] not in BLANK:
                yield cells, reader.line_num
                count += 1
            if count == MAX_RECORDS:
                return


def split_words(line: str) -> list[str]:
    """Return the cells of a line whose columns are aligned with spaces."""
    return [word.strip('"') for word in WORDS.findall(line)]


def _usual_width(records: Sequence[Record], header: int = 0) -> int:
    """Return the most frequent number of cells; of several, that of the header or the largest."""
    counts = Counter(len(cells) for cells, _ in records)
    return max(counts, key=lambda width: (counts[width], width == header, width))


def _width_below(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> int:
    """Return the number of cells in a row below a header, which mostly is `width`.

    There may be one more if the last one is empty, or if all rows begin with an index: different
    texts, or numbers that count the rows. Other cells are rather parted by a decimal comma.
    """
    if width == len(header) + 1 and all(len(row) == width for row in rows):
        index = [row[0].strip() for row in rows]
        numbers = any(map(NUMBER.fullmatch, index))
        if len(set(index)) == len(index) and (not numbers or (len(index) > 1 and count_up(index))):
            return width
    return width if width > len(header) and _last_empty(rows, width) else len(header)


def _share(lines: Sequence[str], separator: str) -> float:
    """Return the share of records with the most frequent number of cells; 0 if that is 1."""
    records = list(_records(lines, separator))
    width = _usual_width(records) if records else 1
    equal = sum(len(cells) == width for cells, _ in records)
    return equal / len(records) if width > 1 else 0.0


def _separator(lines: Sequence[str]) -> str:
    shares = {separator: _share(lines, separator) for separator in SEPARATORS}
    best = max(shares, key=shares.__getitem__)
    if shares[best] >= MIN_SHARE:
        return best
    head, *rows = [split_words(line) for line in lines[:MAX_RECORDS] if line.strip()]
    rows = rows or [head]
    cells = [word for row in rows for word in row]
    width = len(rows[0])
    # The header may lack the name of an index.
    aligned = 1 < width <= len(head) + 1 <= width + 1 and len({len(row) for row in rows}) == 1
    numbers = sum(WITH_MARK.fullmatch(cell) is not None for cell in cells)
    if aligned and numbers >= len(cells) / 2:
        return SPACE
    return best if shares[best] else ","


def _preamble(records: Sequence[Record], width: int) -> int:
    """Return the number of records before the header: titles, and others above a sure header."""
    for i, (cells, _) in enumerate(records[:MAX_PREAMBLE]):
        rows = [row for row, _ in records[i + 1 :] if _filled_count(row) > 1]
        short = len(cells) < width - 1
        if not rows or not (short or (_filled_count(cells) <= 1 and width > 1)):
            return i
        if not (short and len(cells) == 1) and not is_header(rows[0], rows[1:], sure=True):
            return i
    return 0


def _filled_count(cells: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def _commented(comments: Sequence[str], separator: str, width: int) -> list[str] | None:
    """Return the names in the last line of the comments, if they are as many as the columns."""
    if not comments or width == 1:
        return None
    cells = next(_records([comments[-1].lstrip("#%/ ")], separator), ([], 0))[0]
    if cells and not cells[0]:  # the first name is "#"
        cells = next(_records(comments[-1:], separator))[0]
    return _filled(cells) if len(cells) == width else None


def _numbered(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return f1, f2 and so on for the columns; a last one of empty cells has no name."""
    trailing = width > 1 and _last_empty(rows, width)
    return [f"f{i}" for i in range(1, width + 1 - trailing)]


def _last_empty(rows: Sequence[Sequence[str]], width: int) -> bool:
    return all(not row[-1].strip() for row in rows if len(row) == width)


def _filled(cells: Sequence[str]) -> list[str]:
    return [cell.strip() or f"Unnamed: {i}" for i, cell in enumerate(cells)]


def _names(cells: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the names of a header: stripped, and "Unnamed: <position>" for an empty one.

    An empty name at the end is left out if the cells below are empty. If rows have one more cell
    than the header, the first column is an index without a name.
    """
    names = [cell.strip() for cell in cells]
    last_empty = _last_empty(rows, width)
    if names and not names[-1] and (last_empty or width < len(names)):
        names.pop()
    elif width == len(names) + 1 and not last_empty:
        names.insert(0, "")
    return _filled(names)


def _make_unique(names: list[str]) -> list[str]:
    """Append .1, .2 and so on to repeated names, in place, as pandas does; return the new names."""
    taken, seen, repeats = set(names), set[str](), Counter[str]()
    renamed = []
    for i, name in enumerate(names):
        if name in seen:
            new = name
            while new in taken:
                repeats[name] += 1
                new = f"{name}.{repeats[name]}"
            names[i] = new
            taken.add(new)
            renamed.append(new)
        seen.add(name)
    return renamed


def _no_rows(path: Path) -> UserError:
    return UserError(f"{path} has no rows; give a table with a header and rows.")
