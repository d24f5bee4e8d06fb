"""The first records of a CSV file, and the separator of their cells."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

from hourglass.data.readers.number_marks import WITH_MARK

MAX_RECORDS = 200
SEPARATORS = ("\t", ";", "|", ",")  # the first one of several that fit
SPACE = " "  # stands for any number of spaces and tabs
MIN_SHARE = 0.5  # of the records with the most frequent number of cells
WORDS = re.compile(r'"[^"]*"|[^\s"]+')
BLANK: tuple[list[str], ...] = ([], [""])  # records of a blank line

Record = tuple[list[str], int]  # the cells, and the number of lines up to the next record


def read_records(lines: Sequence[str], separator: str) -> Iterator[Record]:
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


def usual_width(records: Sequence[Record], header: int = 0) -> int:
    """Return the most frequent number of cells; of several, that of the header or the largest."""
    counts = Counter(len(cells) for cells, _ in records)
    return max(counts, key=lambda width: (counts[width], width == header, width))


def _share(lines: Sequence[str], separator: str) -> float:
    """Return the share of records with the most frequent number of cells; 0 if that is 1."""
    records = list(read_records(lines, separator))
    width = usual_width(records) if records else 1
    equal = sum(len(cells) == width for cells, _ in records)
    return equal / len(records) if width > 1 else 0.0


def detect_separator(lines: Sequence[str]) -> str:
    """Return the separator that gives most records the same number of cells, else a comma.

    SPACE stands for columns that are aligned with spaces.
    """
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
