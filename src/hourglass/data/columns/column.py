"""Columns of a table: their kinds, the codes of their cells, and why a column is left out."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["numeric", "boolean", "categorical", "datetime", "time", "entity"]
Part: TypeAlias = Literal["hour", "weekday", "month", "trend"]
ROLES: tuple[Kind, ...] = ("entity", "time")  # of series; these come first, in this order
NUMBER = "number"  # the date format of times that are numbers
Missing: TypeAlias = Literal["use", "refuse", "skip"]  # what to do with missing cells
ColumnScaling: TypeAlias = Literal[
    "auto", "standard", "robust", "minmax", "quantile", "log", "none"
]


@dataclass(frozen=True)
class Column:
    """A column of a table that is a feature, or the entity or the time of a series' rows.

    A cell is represented by its code, a float64. NaN is a missing cell. The code of a number is the
    number, of a boolean 0 or 1, of a date the seconds since 1970 in UTC. The code of a category is
    the index of its level, or the number of levels for any other value: one that is rare or does
    not occur in the train split. The code of a time is a number or, of a date, seconds; that of an
    entity is a hash of its name.
    """

    name: str
    kind: Kind = "numeric"
    levels: tuple[str, ...] = ()  # of categories; of a boolean: the texts of false and of true
    parts: tuple[Part, ...] = ()  # of a date
    scaling: ColumnScaling = "auto"  # of a number
    # Of a date in text: "" is ISO 8601, "time of day" is without a date, others as of strptime.
    date_format: str = ""
    missing_values: tuple[str, ...] = ()  # cells that are missing, besides the usual markers
    coerce: bool = False  # cells that are no number, or no date, are missing
    optional: bool = False  # may be absent in a file to score; all cells are missing then

    @property
    def is_feature(self) -> bool:
        """Return whether networks see the column."""
        return self.kind not in ROLES

    def to_dict(self) -> dict[str, Any]:
        """Return the column as JSON values."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Column":
        """Return the column from the values of `to_dict`."""
        arguments: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**arguments)


@dataclass(frozen=True)
class Reason:
    """The reason why a column is left out, and the setting that uses it."""

    cause: str
    remedy: str = ""

    def __str__(self) -> str:
        """Return both in words."""
        return f"{self.cause}; {self.remedy}" if self.remedy else self.cause
