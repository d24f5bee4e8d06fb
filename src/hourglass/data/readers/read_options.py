"""Options of reading a table, which override what is detected."""

import codecs
from dataclasses import dataclass

from hourglass.core.errors import UserError
from hourglass.data.readers.numbers import THOUSANDS

SEPARATOR_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "bar": "|"}
SEPARATOR_NAMES |= dict.fromkeys(("space", "spaces", r"\s+"), " ")


@dataclass(frozen=True)
class ReadOptions:
    """Format of a user's table; None is detected.

    `sep` is one character, or the name of one ("tab"); a space stands for any number of spaces.
    `thousands` separates groups of digits ("" if nothing does). `header` says whether the first row
    holds the names. Lines that begin with `comment` are left out. `sheet` is the name of a
    spreadsheet's sheet, or its number from 1. `file_column` is the name of a column to add: the
    name of each row's file without its suffix. A column of the table with this name comes first.
    """

    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool | None = None
    comment: str | None = None
    sheet: str | int | None = None
    file_column: str | None = None

    @property
    def separator(self) -> str | None:
        """Return the separator as a character."""
        return self.sep if self.sep is None else SEPARATOR_NAMES.get(self.sep.lower(), self.sep)

    def check(self) -> None:
        """Raise a UserError for a value that cannot be used."""
        separator = self.separator
        if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
            raise UserError(
                f"`sep` of `read` is {self.sep!r}; give one character such as ';', or 'tab'."
            )
        if self.decimal is not None and self.decimal not in THOUSANDS:
            raise UserError(f"`decimal` of `read` is {self.decimal!r}; give '.' or ','.")
        if self.thousands and (len(self.thousands) > 1 or self.thousands == self.decimal):
            raise UserError(
                f"`thousands` of `read` is {self.thousands!r}; give one character other than the "
                "decimal mark, or '' for none."
            )
        if self.comment == "":
            raise UserError("`comment` of `read` is ''; give the first character of comments.")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                raise UserError(
                    f"`encoding` of `read` is {self.encoding!r}, which is unknown; give one "
                    "such as utf-8, cp1252 or utf-16."
                ) from None
