"""Limits on the size of a request to the scoring server."""

import os
import re
import sys
from dataclasses import dataclass

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted, quote

ROWS_VARIABLE = "HOURGLASS_MAX_REQUEST_ROWS"
BYTES_VARIABLE = "HOURGLASS_MAX_REQUEST_BYTES"
PIXELS_VARIABLE = "HOURGLASS_MAX_REQUEST_PIXELS"


class RequestTooLargeError(UserError):
    """A request has, or declares, more bytes, rows or pixels than the limits allow."""


@dataclass(frozen=True)
class Limits:
    """The maximum size of a request."""

    rows: int = 100_000
    bytes: int = 16 << 20  # also of a table that a compressed request declares
    pixels: int = 1 << 26  # of all image files, as they are declared and as they are scored

    @classmethod
    def from_environment(cls, is_server: bool) -> "Limits":
        """Read HOURGLASS_MAX_REQUEST_ROWS, _BYTES and _PIXELS.

        Outside a scoring server the default numbers of rows and pixels are unlimited, because the
        caller already holds the samples in memory.
        """
        rows, pixels = (cls.rows, cls.pixels) if is_server else (sys.maxsize, sys.maxsize)
        return cls(
            _read(ROWS_VARIABLE, rows),
            _read(BYTES_VARIABLE, cls.bytes),
            _read(PIXELS_VARIABLE, pixels),
        )

    def check_rows(self, count: int) -> None:
        """Raise RequestTooLargeError if a request has more rows."""
        if count > self.rows:
            raise RequestTooLargeError(
                f"the request has {counted(count, 'row')}, but at most {self.rows:,} are scored; "
                f"send fewer per request, or set {ROWS_VARIABLE} on the server."
            )

    def check_bytes(self, count: int, verb: str = "has") -> None:
        """Raise RequestTooLargeError if a request has more bytes."""
        if count > self.bytes:
            raise RequestTooLargeError(
                f"the request {verb} {count:,} bytes, but at most {self.bytes:,} are read; send "
                f"fewer samples per request, or set {BYTES_VARIABLE} on the server."
            )

    def check_pixels(self, count: int) -> None:
        """Raise RequestTooLargeError if the images of a request have more pixels."""
        if count > self.pixels:
            raise RequestTooLargeError(
                f"the images of the request have {count:,} pixels or more, but at most "
                f"{self.pixels:,} are scored; send fewer or smaller ones per request, or set "
                f"{PIXELS_VARIABLE} on the server."
            )


def _read(variable: str, default: int) -> int:
    text = os.environ.get(variable)
    if text is None:
        return default
    if not re.fullmatch("[1-9][0-9]{0,17}", text):
        raise UserError(f"{variable} is {quote(text)}; give a whole number above 0.")
    return int(text)
