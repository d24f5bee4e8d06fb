"""Kinds of the columns of a table, inferred in one pass over its record batches.

A column is a feature of one of four kinds, or it is left out with a reason: the same value in
every row, a number or a text per row, free text, empty cells, or cells of another type.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted, quote
from hourglass.data.columns.arrow_cells import (
    ISO,
    MARKERS,
    TRUTH_PAIRS,
    TRUTHS,
    numbers,
)
from hourglass.data.columns.column import Column, Kind, Reason
from hourglass.data.columns.date_parts import date_parts
from hourglass.data.columns.decision import Decision, Declared
from hourglass.data.columns.levels import rare_count
from hourglass.data.columns.row_numbers import ROW_NUMBERS, UNNAMED, number_per_row
from hourglass.data.columns.statistics import MAX_COUNTED, ColumnStatistics
from hourglass.data.columns.unusual_values import unusual_values
from hourglass.data.readers.numbers import NumberFormat

MAX_COUNTED_IN_ALL = 4_000_000  # distinct values of all columns together
MAX_LEVELS = 100
MIN_LEVEL_SHARE = 0.5  # of the cells that the levels of a category must cover
MIN_NUMBER_SHARE = 0.9  # of the cells: the others are then missing, and otherwise it is text
MAX_FEW_VALUES = 30  # a column of few values, some of them texts, is a category
EMPTY = Reason("no values")
CONSTANT = Reason("the same value in every row")
TEXT_ID = Reason("a text per row", "set `id` to find the rows by it")
TEXT = Reason("free text or too many values")
SHORT = Reason(
    "dates of a part of a day or a week, so later ones would be abnormal", "set `parts` to use it"
)


def infer_columns(
    batches: Iterable[pa.RecordBatch],
    names: Sequence[str],
    source: object,
    declared: Declared = Declared(),
    number_format: NumberFormat = NumberFormat(),
) -> list[Decision]:
    """Return a decision about each of the columns `names`, in their order.

    `source` names the table in messages. `number_format` is the format of numbers in text columns.
    Memory is bounded by the number of columns, not by that of rows. Raises a UserError if a
    declaration does not fit a column.
    """
    declared.check_names(names, source)
    limit = max(2 * MAX_LEVELS, min(MAX_COUNTED, MAX_COUNTED_IN_ALL // max(1, len(names))))
    columns = [
        ColumnStatistics(
            name,
            limit,
            tuple(declared.missing_values.get(name, ())),
            (declared.dates[name],) if name in declared.dates else None,
        )
        for name in names
    ]
    for batch in batches:
        for statistics in columns:
            statistics.add(batch.column(statistics.name), number_format)
    return [
        _Inference(statistics, source, declared, number_format).decide() for statistics in columns
    ]


def used_columns(decisions: Iterable[Decision]) -> tuple[Column, ...]:
    """Return the columns that are features."""
    return tuple(decision.column for decision in decisions if decision.column is not None)


@dataclass
class _Inference:
    """The decision about one column."""

    found: ColumnStatistics
    source: object
    declared: Declared
    number_format: NumberFormat

    def decide(self) -> Decision:
        found = self.found
        if not found.types:
            return self._dropped("empty", EMPTY)
        if "other" in found.types:
            remedy = "make a column of each element to use them"
            return self._dropped("invalid", Reason(f"cells of type {found.type_name}", remedy))
        if self._declared_kind:
            return {
                "numeric": self._numeric,
                "boolean": self._boolean,
                "categorical": self._categorical,
                "datetime": self._datetime,
            }[self._declared_kind]()
        if len(self._values) == 1 and not found.uncounted and found.present == found.rows:
            return self._dropped(self._form(), CONSTANT, next(iter(self._values)))
        if found.types == {"boolean"} or self._truth_levels():
            return self._boolean()
        if found.dates and self._date_formats():
            return self._datetime()
        if found.odd_cells == 0:
            return self._numeric()
        if self._are_most(found.present - found.odd_cells) and not self._has_few_values():
            return self._numeric()
        return self._categorical()

    @property
    def _declared_kind(self) -> Kind | None:
        """Return the kind that the user declares; a date format declares a date."""
        found = self.found
        return self.declared.kinds.get(found.name) or ("datetime" if found.formats else None)

    def _are_most(self, cells: int) -> bool:
        """Return whether so many numbers, or dates, decide the kind; other cells are missing."""
        return cells >= MIN_NUMBER_SHARE * self.found.present

    def _form(self) -> str:
        return "numeric" if not self.found.odd_cells else "text"

    @cached_property
    def _values(self) -> dict[str, int]:
        """Return the counts of values without those that mean a missing cell."""
        found = self.found
        markers = {*MARKERS, *found.missing_values}
        if self._markers_are_values():
            markers = set(found.missing_values)
        return {text: count for text, count in found.counts.items() if text not in markers}

    def _markers_are_values(self) -> bool:
        """Return whether most cells of a text column hold a marker, so that it is a level."""
        found = self.found
        return found.odd_cells > 0 and found.markers > found.rows / 2

    def _has_few_values(self) -> bool:
        """Return whether the values are few and frequent, as those of a category."""
        values = self._values
        is_text = np.isnan(numbers(pa.array(list(values), pa.string()), self.number_format))
        odd = [count for count, odd in zip(values.values(), is_text, strict=True) if odd]
        return (
            not self.found.uncounted
            and len(values) <= MAX_FEW_VALUES
            and min(odd, default=0) >= rare_count(self.found.rows)
        )

    def _truth_levels(self) -> tuple[str, ...]:
        """Return the texts of false and true; () if the values are not a pair of truth values."""
        values, found = self._values, self.found
        words = {text.lower() for text in values} - {"0", "1", "0.0", "1.0"}
        if found.uncounted or not found.odd_cells or words not in TRUTH_PAIRS:
            return ()
        by_count = sorted(values, key=lambda text: values[text])  # the most frequent one wins
        spelt = {TRUTHS[text.lower()]: text for text in by_count if text.lower() in words}
        return spelt[0.0], spelt[1.0]

    def _boolean(self) -> Decision:
        levels = ("False", "True") if self.found.types == {"boolean"} else self._truth_levels()
        if not levels:
            values = sorted(self._values)
            if self.found.uncounted or len(values) > 2:
                raise UserError(
                    f"Column {self.found.name!r} of {self.source} is declared boolean, but holds "
                    f"{len(values)} values, such as {quote(values[:3])}; declare another kind."
                )
            levels = tuple(values) if len(values) == 2 else ("0", "1")
        return self._used(Column(self.found.name, "boolean", levels=levels))

    def _numeric(self) -> Decision:
        found, name = self.found, self.found.name
        if found.odd and not self._are_most(found.present - found.odd_cells):
            cell, row = found.odd
            raise UserError(
                f"Column {name!r} of {self.source} is declared numeric, but holds {quote(cell)} in "
                f"row {row} and {counted(found.odd_cells - 1, 'more cell')} without a number; "
                "declare another kind."
            )
        if not self._declared_kind and (reason := number_per_row(self.found)):
            return self._dropped("numeric", reason)
        scaling = self.declared.scaling.get(name, self.declared.default_scaling)
        column = Column(name, "numeric", scaling=scaling, missing_values=found.missing_values)
        notes = unusual_values(found.numbers)
        return self._coerced(column, "number", found.odd, found.odd_cells, notes)

    def _categorical(self) -> Decision:
        found, values = self.found, self._values
        levels = sorted(values, key=lambda text: (-values[text], text))[:MAX_LEVELS]
        cells = sum(values.values()) + found.uncounted
        if not self._declared_kind:
            if UNNAMED.fullmatch(found.name) and max(values.values(), default=0) == 1:
                return self._dropped("text", ROW_NUMBERS)
            rare = rare_count(found.rows)
            frequent = sum(count for count in values.values() if count >= rare)
            is_prose = any("\n" in text for text in levels)
            if is_prose or frequent < MIN_LEVEL_SHARE * cells:
                is_unique = max(values.values(), default=0) == 1 and not is_prose
                return self._dropped("text", TEXT_ID if is_unique else TEXT, levels[0])
        return self._used(
            Column(
                found.name,
                "categorical",
                levels=tuple(levels),
                missing_values=found.missing_values,
            )
        )

    def _date_formats(self) -> list[str]:
        """Return the date formats that fit most cells, those with rising dates first."""
        found = self.found
        most = max((dates.fits for dates in found.dates.values()), default=0)
        if not most or not (found.formats or self._are_most(most)):
            return []
        fitting = [form for form, dates in found.dates.items() if dates.fits == most]
        return sorted(fitting, key=lambda form: -found.dates[form].seconds.rising)

    def _datetime(self) -> Decision:
        found, name = self.found, self.found.name
        form, *others = self._date_formats() or [""]
        fits = found.dates[form].fits if form else 0
        if not self._are_most(fits):
            example = found.odd[0] if found.odd else next(iter(self._values), "")
            raise UserError(
                f"Column {name!r} of {self.source} holds {quote(example)}, which is no date in "
                f"{'the format ' + repr(found.formats[0]) if found.formats else 'a known format'}; "
                f'set `dates: {{{name}: "%d.%m.%Y %H:%M"}}` with the codes of strptime.'
            )
        statistics = found.dates[form]
        notes = unusual_values(statistics.seconds, is_date=True)
        other = next((each for each in others if {(form, each), (each, form)} & found.differ), None)
        if other:
            notes = (f"read as {form}, may be {other}", *notes)
        seconds, share = statistics.seconds, self.declared.train_share
        parts = tuple(self.declared.parts.get(name, ())) or date_parts(form, seconds, share)
        if not (parts or self._declared_kind):
            return self._dropped("datetime", SHORT)
        parts = parts or ("weekday" if seconds.midnight else "hour",)
        column = Column(
            name,
            "datetime",
            parts=parts,
            date_format="" if form == ISO else form,
            missing_values=found.missing_values,
        )
        return self._coerced(column, "date", statistics.odd, found.present - fits, notes)

    def _coerced(
        self,
        column: Column,
        what: str,
        odd: tuple[str, int] | None,
        cells: int,
        notes: tuple[str, ...],
    ) -> Decision:
        """Return the decision for a column with a few cells that are no number, or no date."""
        if not cells or odd is None:
            return self._used(column, *notes)
        note = f"no {what}, but missing: {counted(cells, 'cell')} such as {quote(odd[0])}"
        decision = self._used(replace(column, coerce=True), f"{note} in row {odd[1]}", *notes)
        return replace(decision, missing=decision.missing + cells)

    def _used(self, column: Column, *notes: str) -> Decision:
        optional = column.name in self.declared.optional
        return self._decision(column.kind, replace(column, optional=optional), notes=notes)

    def _dropped(self, kind: str, reason: Reason, example: str | None = None) -> Decision:
        shown = "" if example is None else quote(example)
        return self._decision(kind, None, reason=reason, example=shown)

    def _decision(self, kind: str, column: Column | None, **more: Any) -> Decision:
        found, values = self.found, self._values
        present = sum(values.values()) + found.uncounted
        return Decision(
            found.name,
            kind,
            column,
            found.rows,
            found.rows - (present or found.present),
            len(values),
            found.uncounted > 0,
            **more,
        )
