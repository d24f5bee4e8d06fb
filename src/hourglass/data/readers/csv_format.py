"""Detection of a CSV file's separator, decimal mark and encoding from its first lines."""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

SAMPLE_BYTES = 1 << 16
SEPARATORS = (",", ";", "\t", "|")
QUOTED = re.compile(r'"[^"]*"')
DECIMAL = re.compile(r"[+-]?\d+([.,])\d+(?:[eE][+-]?\d+)?")
# Cells of a feature that count as empty, in training and in scoring.
MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "?", "-")


@dataclass(frozen=True)
class CsvFormat:
    """Format of a CSV file."""

    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"


def detect_csv_format(path: Path) -> CsvFormat:
    """Return the format of a CSV file.

    The separator is the one that occurs most often in the header: comma, semicolon, tab or bar. The
    decimal mark is a comma if the separator is not, and more cells of the first rows hold a number
    with a comma than with a point. A file that is not UTF-8 is read as UTF-16 if it begins with
    that byte order mark, and as Latin-1 otherwise.
    """
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    encoding = _encoding(head)
    lines = head.decode(encoding, errors="replace").splitlines()
    header = QUOTED.sub("", lines[0]) if lines else ""
    separator = max(SEPARATORS, key=header.count)  # the first one, if none occurs
    cells = (cell.strip('" ') for line in lines[1:] for cell in line.split(separator))
    marks = [match[1] for cell in cells if (match := DECIMAL.fullmatch(cell))]
    with_comma = separator != "," and marks.count(",") > marks.count(".")
    return CsvFormat(separator, "," if with_comma else ".", encoding)


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:  # incremental, since the last character of `head` may be cut
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"
