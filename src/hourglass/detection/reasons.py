"""Reasons for the scores of a table's rows: columns, their values, and what was expected."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hourglass.core.suggestions import quote
from hourglass.data.columns.cell_values import date_texts, level_names, number_texts
from hourglass.data.columns.column import Column, Part
from hourglass.data.columns.encoding import SECONDS, ColumnEncoding
from hourglass.data.table_encoding import TableEncoding
from hourglass.detection.attribution import Profile, top_features
from hourglass.detection.detector import Detector

EXPECTED_DIGITS = 3  # of the bounds of expected numbers
SEPARATOR = "; "  # between the reasons of a row
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
THURSDAY = 3  # the first day of 1970


@dataclass(frozen=True)
class Reasons:
    """The columns that contributed most to each score, in descending order of contribution."""

    column: np.ndarray  # (N, top)
    contribution: np.ndarray  # (N, top)
    texts: list[pa.Array]  # (N,) of each rank; null if the contribution is not above 0

    @classmethod
    def of(
        cls,
        encoding: TableEncoding,
        profile: Profile,
        x: np.ndarray,
        contributions: np.ndarray,
        output: np.ndarray,
        top: int,
        cells: pa.RecordBatch | pa.Table | None = None,
    ) -> "Reasons":
        """Return the reasons for codes, (N, C), with their contributions, (N, C).

        `output` are the outputs of `Detector.score_with_outputs`, (N, F). `cells` are the rows as
        they were read: they tell the text of a category that has no code of its own.
        """
        column, contribution = top_features(contributions, top)
        texts: list[pa.Array] = []
        explain = _Explainer(encoding, profile, x, output, cells)
        for rank in range(column.shape[1]):
            texts.append(explain(column[:, rank], contribution[:, rank] > 0))
        return cls(column, contribution, texts)

    def joined(self) -> list[str]:
        """Return all reasons of each row as one text."""
        rows = zip(*(texts.to_pylist() for texts in self.texts), strict=True)
        return [SEPARATOR.join(filter(None, row)) for row in rows]


def top_reasons(
    detector: Detector,
    x: np.ndarray,
    top: int,
    cells: pa.Table | None = None,
    rows: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return the columns feature_1, contribution_1, reason_1 and so on for codes, (N, C).

    `cells` are the rows as they were read. `rows` are the indices of those wanted, None for all.
    """
    _, contributions, output = detector.score_with_outputs(x, rows)
    if rows is not None:
        x, cells = x[rows], None if cells is None else cells.take(rows)
    encoding, profile = detector.encoding, detector.profile
    reasons = Reasons.of(encoding, profile, x, contributions, output, top, cells)
    names = np.array(detector.feature_names, object)
    columns: dict[str, Any] = {}
    for rank, texts in enumerate(reasons.texts):
        columns[f"feature_{rank + 1}"] = names[reasons.column[:, rank]]
        columns[f"contribution_{rank + 1}"] = reasons.contribution[:, rank]
        columns[f"reason_{rank + 1}"] = texts.to_pylist()
    return columns


class _Explainer:
    """Texts about single cells: one column per row."""

    def __init__(
        self,
        encoding: TableEncoding,
        profile: Profile,
        x: np.ndarray,
        output: np.ndarray,
        cells: pa.RecordBatch | pa.Table | None,
    ) -> None:
        self.encoding, self.x = encoding, encoding.features(x)
        self.output, self.cells = output, cells
        self.error = np.sqrt(np.maximum(profile.mean, 0).astype(np.float64))  # of numbers
        self.first = np.cumsum([0, *(column.width for column in encoding.columns)])

    def __call__(self, column: np.ndarray, wanted: np.ndarray) -> pa.Array:
        """Return a text about the cell `column[i]` of each row i in `wanted`, otherwise null."""
        rows = np.flatnonzero(wanted)
        rows = rows[np.argsort(column[rows], kind="stable")]
        indices, starts = np.unique(column[rows], return_index=True)
        groups = np.split(rows, starts[1:]) if len(rows) else []
        parts = [self._column(int(i), group) for i, group in zip(indices, groups, strict=True)]
        place = np.full(len(column), len(rows))
        place[rows] = np.arange(len(rows))
        return pa.concat_arrays([*parts, pa.nulls(1, pa.string())]).take(pa.array(place))

    def _column(self, i: int, rows: np.ndarray) -> pa.Array:
        encoding, codes = self.encoding.columns[i], self.x[rows, i].astype(np.float64)
        output = self.output[rows, self.first[i] : self.first[i + 1]].astype(np.float64)
        name, kind = encoding.column.name, encoding.column.kind
        if kind == "numeric":
            texts = _number(encoding, codes, output, self.error[i])
        elif kind == "datetime":
            texts = _date(encoding, codes, output)
        else:
            raw = self._raw(name, rows) if kind == "categorical" else None
            texts = _level(encoding.column, codes, output, raw)
        missing = pa.array(np.isnan(codes))
        named = pc.binary_join_element_wise(pa.scalar(name), texts, "")
        return pc.if_else(missing, pa.scalar(f"{name} missing"), named)

    def _raw(self, name: str, rows: np.ndarray) -> pa.Array | None:
        """Return the cells of a column as they were read; None if they are not known."""
        if self.cells is None or name not in self.cells.schema.names:
            return None
        return self.cells[name].take(pa.array(rows))


def _number(
    encoding: ColumnEncoding, codes: np.ndarray, output: np.ndarray, error: float
) -> pa.Array:
    """Return such as " 4,310, expected 12 to 80", by the usual error of the reconstruction."""
    low, high = (
        number_texts(encoding.decode(output + sign * error), EXPECTED_DIGITS) for sign in (-1, 1)
    )
    bounds = pc.if_else(pc.equal(low, high), low, _join(low, " to ", high))
    return _join(" ", number_texts(codes), ", expected ", bounds)


def _level(column: Column, codes: np.ndarray, output: np.ndarray, raw: pa.Array | None) -> pa.Array:
    """Return such as ' = "tftp", expected "http" (0.93)', with the probability.

    The text is null if the value itself has a probability of half or more.
    `output` are logits, (N, levels), of a boolean (N, 1).
    """
    logits = np.hstack([0 * output, output]) if column.kind == "boolean" else output
    output = np.exp(logits - logits.max(1, keepdims=True))
    output /= output.sum(1, keepdims=True)
    names = [f'"{quote(name)[1:-1]}"' for name in level_names(column)]
    if column.kind == "categorical":
        names[-1] = "another value"
    best = output.argmax(1)
    percent = np.round(100 * output.max(1)).astype(int)
    code = np.where(np.isnan(codes), 0, codes).astype(int)
    keys, place = np.unique(np.stack([code, best, percent]), axis=1, return_inverse=True)
    texts = [
        f" = {names[c]}, expected {names[b]} ({p / 100:.2f})"
        if c != b
        else (f" = {names[c]}, probability {p / 100:.2f}" if p < 50 else None)
        for c, b, p in keys.T.tolist()
    ]
    found = pa.array(texts, pa.string()).take(pa.array(place.ravel()))
    other = np.flatnonzero(code == len(names) - 1)
    if raw is None or column.kind != "categorical" or not len(other):
        return found
    shown = [f' = "{quote(str(cell))[1:-1]}"' for cell in raw.take(pa.array(other)).to_pylist()]
    replaced = found.to_numpy(zero_copy_only=False).copy()
    replaced[other] = [
        text and text.replace(" = another value", cell, 1)
        for text, cell in zip(replaced[other], shown, strict=True)
    ]
    return pa.array(replaced, pa.string())


def _date(encoding: ColumnEncoding, codes: np.ndarray, output: np.ndarray) -> pa.Array:
    """Return such as " 2026-11-29 03:10, expected around 14:00", by the part that differs most."""
    known = np.where(np.isnan(codes), 0, codes)
    offset, scale = np.array([encoding.offset]), np.array([encoding.scale])
    inputs = encoding.encode(np, known[:, None], offset, scale)
    parts = encoding.column.parts
    ends = np.cumsum([1 if part == "trend" else 2 for part in parts])
    cells = [
        slice(end - (1 if part == "trend" else 2), end)
        for part, end in zip(parts, ends.tolist(), strict=True)
    ]
    output = output.copy()
    for part, place in zip(parts, cells, strict=True):
        if part != "trend":  # a doubtful reconstruction is short; only its direction is a time
            length = np.linalg.norm(output[:, place], axis=1, keepdims=True)
            output[:, place] /= np.maximum(length, 1e-9)
    squares = np.add.reduceat(np.square(inputs - output), [0, *ends[:-1]], axis=1)
    worst = squares.argmax(1)
    expected = np.full(len(codes), "", object)
    for i, (part, place) in enumerate(zip(parts, cells, strict=True)):
        rows = np.flatnonzero(worst == i)
        if not len(rows):
            continue
        texts = _expected_part(
            encoding, part, known[rows], inputs[rows, place], output[rows, place]
        )
        expected[rows] = [text and f", expected {text}" for text in texts]
    return _join(" ", date_texts(known), pa.array(expected, pa.string()))


def _expected_part(
    encoding: ColumnEncoding,
    part: Part,
    seconds: np.ndarray,
    inputs: np.ndarray,
    output: np.ndarray,
) -> list[str]:
    """Return the expected value of a part of dates, (N,) `seconds`; "" if it is their own.

    Weekdays and months are counted from those of the date, in whole ones, because a date without a
    time lies on the border of two days.
    """
    if part == "trend":
        own, expected = (
            date_texts(values[:, 0] * encoding.scale + encoding.offset).to_pylist()
            for values in (inputs, output)
        )
        return ["" if text == same else text for text, same in zip(expected, own, strict=True)]
    before, after = (
        np.arctan2(values[:, 0], values[:, 1]) / (2 * np.pi) % 1 for values in (inputs, output)
    )  # shares of the cycle
    if part == "hour":
        own, expected = (
            np.round(share * SECONDS[part] / 60).astype(int) % 1440 for share in (before, after)
        )
        texts = [f"around {m // 60:02}:{m % 60:02}" for m in expected.tolist()]
        return np.where(own == expected, "", texts).tolist()
    shift = (after - before + 0.5) % 1 - 0.5
    if part == "weekday":
        own = np.floor(seconds / SECONDS["hour"]).astype(int) + THURSDAY
        names = np.array([f"a {day}" for day in WEEKDAYS])
    else:
        dates = np.floor(seconds).astype("datetime64[s]")
        own, names = dates.astype("datetime64[M]").astype(int), np.array(MONTHS)
    steps = np.rint(shift * len(names)).astype(int)
    return np.where(steps == 0, "", names[(own + steps) % len(names)]).tolist()


def _join(*parts: Any) -> pa.Array:
    """Join texts and arrays of texts row by row."""
    scalars = [pa.scalar(part) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*scalars, "")
