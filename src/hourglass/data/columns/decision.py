"""Declarations of the user about the columns of a table, and the decision about each column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted, suggest_names
from hourglass.data.columns.column import Column, ColumnScaling, Kind, Part, Reason
from hourglass.data.columns.date_parts import parts_in_words


@dataclass(frozen=True)
class Decision:
    """The decision about a column: a feature, or left out for a reason."""

    name: str
    kind: str  # of the feature; otherwise of the cells
    column: Column | None  # None if it is left out
    rows: int
    missing: int  # cells
    distinct: int  # values
    capped: bool  # there are more values than were counted
    reason: Reason | None = None  # why it is left out
    example: str = ""  # a value of it
    notes: tuple[str, ...] = ()  # unusual values

    @property
    def decision(self) -> str:
        """Return the decision in words."""
        if self.column is None:
            shown = f", such as {self.example}" if self.example else ""
            return f"dropped: {self.reason}{shown}"
        shown = {
            "categorical": counted(len(self.column.levels), "level"),
            "datetime": parts_in_words(self.column),
            "boolean": " / ".join(self.column.levels),
        }.get(self.kind, "used")
        return "; ".join([shown, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Return a row of the table of columns, for the data card."""
        return {
            "name": self.name,
            "kind": self.kind,
            "missing": round(self.missing / max(1, self.rows), 6),
            "distinct": f"{self.distinct}+" if self.capped else self.distinct,
            "used": self.column is not None,
            "reason": "" if self.reason is None else str(self.reason),
            "notes": list(self.notes),
            "decision": self.decision,
        }


@dataclass(frozen=True)
class Declared:
    """Declarations of the user about columns, by name."""

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    dates: Mapping[str, str] = field(default_factory=dict)  # formats, as of strptime
    parts: Mapping[str, Sequence[Part]] = field(default_factory=dict)
    missing_values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    scaling: Mapping[str, ColumnScaling] = field(default_factory=dict)
    default_scaling: ColumnScaling = "auto"
    optional: Sequence[str] = ()
    train_share: float = 1.0  # of the range of dates that the train split covers

    def without(self, name: str | None) -> "Declared":
        """Return the declarations without the format of dates of one column."""
        return replace(self, dates={key: v for key, v in self.dates.items() if key != name})

    def check_names(self, names: Sequence[str], source: object) -> None:
        """Raise a UserError if a name is no column."""
        for setting in ("kinds", "dates", "parts", "missing_values", "scaling", "optional"):
            for name in getattr(self, setting):
                if name not in names:
                    raise UserError(
                        f"`{setting}` names {name!r}, but {source} has no such feature: "
                        f"{suggest_names(name, names)}; correct the name."
                    )
