"""Scores of a series while its file grows: `score --follow`."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hourglass.core.errors import UserError, one_line

if TYPE_CHECKING:
    from hourglass.data.readers.chunks import Chunk
    from hourglass.detection.detector import Detector

POLL_SECONDS = 0.2
STDIN = Path("-")
MAX_LINES = 4096  # read at once


def follow(file: Path, detector: "Detector", latency: int | None, output: IO[str]) -> int:
    """Score the rows of a growing CSV file, or of standard input for "-"; return their number.

    Writes a line of CSV per row: its number, counted from 1, its time, score, threshold and alarm.
    Ends with standard input, or at an interrupt, after which all rows are scored. Raises a
    UserError if the detector is not that of a series, or if the first line is no header.
    """
    from hourglass.detection.series_stream import SeriesStream

    if not detector.is_series:
        raise UserError("--follow scores time series, but this detector scores single samples.")
    stream, threshold = SeriesStream(detector.scoring, latency), detector.threshold
    times = dict[int, float]()
    count = 0
    print("row,time,score,threshold,alarm", file=output, flush=True)

    def write(rows: "Iterator[tuple[int, float]]") -> None:
        for row, score in rows:
            when = _time_text(times.pop(row), detector)
            alarm = str(bool(score > threshold.value)).lower()
            print(f"{row + 1},{when},{score:.9g},{threshold.value:.9g},{alarm}", file=output)
        output.flush()

    try:
        for chunk in _chunks(file, detector):
            times |= enumerate(stream.encoding.time(chunk.x).tolist(), count)
            count += len(chunk.x)
            numbers, scores = stream.add(chunk.x)
            write(zip(numbers.tolist(), scores.tolist(), strict=True))
    except KeyboardInterrupt:
        print(file=sys.stderr)
    numbers, scores = stream.flush()
    write(zip(numbers.tolist(), scores.tolist(), strict=True))
    return count


def _chunks(file: Path, detector: "Detector") -> "Iterator[Chunk]":
    """Yield the rows that arrive, read as `score` reads a file of them."""
    from hourglass.data.readers.table_chunks import read_table_chunks

    lines = _lines(file)
    header = next(lines, [""])[0]
    if not header.strip():
        raise UserError(f"{file} is empty; its first line must hold the names of the columns.")
    line = 1
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "rows.csv"
        for rows in lines:
            first, line = line + 1, line + len(rows)
            # A program that is started again writes its header again.
            rows = [row for row in rows if row.strip() and row.strip() != header.strip()]
            if not rows:
                continue
            part.write_text("".join([header, *rows]), encoding="utf-8")
            try:
                yield from read_table_chunks(part, detector, None, "use", quiet=True)
            except UserError as error:
                place = f"{file}, counted from line {first},"
                raise UserError(str(error).replace(str(part), place)) from None


def _lines(file: Path) -> Iterator[list[str]]:
    """Yield the first line, then lists of the complete lines that arrived."""
    try:
        yield from _decoded_lines(file)
    except UnicodeError as error:
        raise UserError(f"{file} is no text in UTF-8 ({one_line(error)}); convert it.") from None


def _decoded_lines(file: Path) -> Iterator[list[str]]:
    if file == STDIN:
        yield [sys.stdin.readline()]
        for line in sys.stdin:
            line.encode()  # in some locales, a byte that is no UTF-8 becomes a surrogate
            yield [line]
        return
    if not file.is_file():
        raise UserError(f"{file} is no file; name a CSV file that grows, or - for standard input.")
    content = file.open("rb")  # text would also decode a part of a character
    try:
        rest, is_first = b"", True
        while True:
            if _was_replaced(file, content):
                content.close()
                content, rest = file.open("rb"), b""
            complete = [rest + content.readline(), *content.readlines()]
            rest = complete.pop() if not complete[-1].endswith(b"\n") else b""
            lines = [line.decode("utf-8-sig") for line in complete]
            if lines and is_first:
                yield [lines.pop(0)]
                is_first = False
            for start in range(0, len(lines), MAX_LINES):
                yield lines[start : start + MAX_LINES]
            if not lines:
                time.sleep(POLL_SECONDS)
    finally:
        content.close()


def _was_replaced(file: Path, content: IO[bytes]) -> bool:
    """Return whether another file has the path of an open one, or the open one was cut.

    That is what a rotation of logs does.
    """
    try:
        now = file.stat()
    except FileNotFoundError:  # the new one is not written yet
        return False
    opened = os.fstat(content.fileno())
    return (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino) or (
        now.st_size < content.tell()
    )


def _time_text(value: float, detector: "Detector") -> str:
    """Return a time as the file may have it: a number, or a date in ISO form."""
    import numpy as np

    from hourglass.data.columns.column import NUMBER

    column = next(column for column in detector.columns if column.kind == "time")
    if np.isnan(value):
        return ""
    if column.date_format == NUMBER:
        return f"{value:.15g}"
    return str(np.datetime64(round(value * 1e6), "us")).removesuffix(".000000")
