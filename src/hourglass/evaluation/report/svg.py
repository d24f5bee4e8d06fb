"""Plots as inline SVG in the colours and fonts of the page: axes, lines, bars and markers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from markupsafe import Markup, escape

from hourglass.evaluation.palette import MARKERS

Values: TypeAlias = Sequence[float] | np.ndarray

WIDTH, HEIGHT = 400, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 40  # margins around the area of the data
AREA = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)
LETTER = 6.2  # mean width of a letter
TICKS = 4  # intervals between ticks, about
MIN_LOG_RATIO = 6  # minimum max / min for a logarithmic axis


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, linear or logarithmic."""

    label: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    @classmethod
    def around(cls, label: str, values: Values, margin: float = 0.05) -> "Axis":
        """Return an axis that spans values, with a margin as a fraction of its length.

        It is logarithmic if all values are positive and max / min is at least MIN_LOG_RATIO. Equal
        values are in its middle.
        """
        low, high = float(np.min(values)), float(np.max(values))
        if low > 0 and MIN_LOG_RATIO * low <= high:
            factor = (high / low) ** margin
            return cls(label, low / factor, high * factor, log=True)
        if low == high:
            margin = margin or 0.05  # without it, the axis has no length
        span = (high - low) or abs(high) or 1.0
        return cls(label, low - margin * span, high + margin * span)

    def place(self, values: Values) -> np.ndarray:
        """Return the positions of values: 0 at `low`, 1 at `high`."""
        low, high, placed = self.low, self.high, np.asarray(values, float)
        if self.log:
            low, high, placed = math.log(low), math.log(high), np.log(placed)
        return np.asarray((placed - low) / (high - low))

    def ticks(self) -> list[float]:
        """Return a few round numbers between the ends."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            for digits in ((1,), (1, 3), (1, 2, 5)):
                ticks = [digit * 10.0**decade for decade in decades for digit in digits]
                ticks = [tick for tick in ticks if self.low <= tick <= self.high]
                if len(ticks) >= TICKS - 1:
                    break
            return ticks[:: math.ceil(len(ticks) / (2 * TICKS)) or 1]
        rough = (self.high - self.low) / TICKS
        unit = 10.0 ** math.floor(math.log10(rough))
        step = unit * min((1, 2, 5, 10), key=lambda digit: abs(digit - rough / unit))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) for index in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Return the text of a tick: 0.5, 20k, 3M, 1e\N{MINUS SIGN}5."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}".replace("e-0", "e-").replace("-", "\N{MINUS SIGN}")


def marker_path(series: int) -> str:
    """Return the SVG path of the marker of a series."""
    return list(MARKERS)[series % len(MARKERS)]


class Plot:
    """A plot that marks are added to. CSS classes decide the colours."""

    def __init__(self, x: Axis, y: Axis) -> None:
        self.x, self.y = x, y
        self.marks: list[str] = []

    def line(
        self, x: Values, y: Values, css: str, title: str = "", model: str = "", step: bool = False
    ) -> None:
        """Draw a line; with `step`, y changes to its next value before x does.

        `title` is shown on hover. `model` lets the legend highlight the line.
        """
        columns, rows = self._columns(x), self._rows(y)
        # Points of the same half pixel add nothing but bytes.
        moved = (np.diff(columns, prepend=-1) != 0) | (np.diff(rows, prepend=-1) != 0)
        points = list(zip(columns[moved], rows[moved], strict=True))
        start, rest = points[0], points[1:]
        between = "V{1:g}H{0:g}" if step else "L{0:g} {1:g}"
        path = f"M{start[0]:g} {start[1]:g}" + "".join(between.format(*point) for point in rest)
        self._add(f'<path class="line" d="{path}"/>', css, title, model)

    def bars(self, edges: Values, counts: Values, css: str, title: str = "") -> None:
        """Draw the outline of a histogram: edges, (n + 1,), and counts, (n,)."""
        columns, rows = self._columns(edges), self._rows(counts)
        base = self._rows([max(self.y.low, 0)])[0]
        steps = "".join(
            f"V{row:g}H{column:g}" for row, column in zip(rows, columns[1:], strict=True)
        )
        self._add(f'<path d="M{columns[0]:g} {base:g}{steps}V{base:g}z"/>', css, title)

    def marker(
        self, x: float, y: float, path: str, css: str, title: str = "", model: str = ""
    ) -> None:
        """Draw a marker, a path around (0, 0)."""
        place = f"{self._columns([x])[0]:g} {self._rows([y])[0]:g}"
        self._add(f'<path transform="translate({place})" d="{path}"/>', f"at {css}", title, model)

    def vertical(self, x: float, css: str, title: str = "") -> None:
        """Draw a vertical line over the whole height."""
        column = self._columns([x])[0]
        self._add(f'<path d="M{column:g} {TOP}v{AREA[1]}"/>', css, title)

    def text(
        self, x: float, y: float, shift: tuple[float, float], text: str, css: str = ""
    ) -> None:
        """Write text next to a point; `shift` is in pixels, right and down."""
        column, row = self._columns([x])[0] + shift[0], self._rows([y])[0] + shift[1]
        self.marks.append(f'<text class="{css}" x="{column:g}" y="{row:g}">{escape(text)}</text>')

    def pixels(self, x: float, y: float) -> tuple[float, float]:
        """Return column and row of a point."""
        return float(self._columns([x])[0]), float(self._rows([y])[0])

    def svg(self, label: str) -> Markup:
        """Return the `svg` element; `label` is its text alternative."""
        size = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}"'
        return Markup(f"<svg {size}>{''.join(self._axes())}{''.join(self.marks)}</svg>")

    def _add(self, shape: str, css: str, title: str, model: str = "") -> None:
        name = f' data-model="{escape(model)}"' if model else ""
        title = f"<title>{escape(title)}</title>" if title else ""
        self.marks.append(f'<g class="{css}"{name}>{title}{shape}</g>')

    def _columns(self, x: Values) -> np.ndarray:
        return np.round(2 * (LEFT + self.x.place(x) * AREA[0])) / 2

    def _rows(self, y: Values) -> np.ndarray:
        return np.round(2 * (HEIGHT - BOTTOM - self.y.place(y) * AREA[1])) / 2

    def _axes(self) -> Iterable[str]:
        yield '<g class="axes">'
        bottom = HEIGHT - BOTTOM
        for tick, row in zip(self.y.ticks(), self._rows(self.y.ticks()), strict=True):
            yield f'<path d="M{LEFT} {row:g}h{AREA[0]}"/>'
            yield f'<text class="end" x="{LEFT - 6}" y="{row + 4:g}">{tick_text(tick)}</text>'
        for tick, column in zip(self.x.ticks(), self._columns(self.x.ticks()), strict=True):
            yield f'<path d="M{column:g} {bottom}v4"/>'
            yield f'<text class="mid" x="{column:g}" y="{bottom + 17}">{tick_text(tick)}</text>'
        middle = (LEFT + AREA[0] / 2, TOP + AREA[1] / 2)
        yield f'<text class="mid" x="{middle[0]:g}" y="{HEIGHT - 5}">{escape(self.x.label)}</text>'
        turn = f'transform="rotate(-90 11 {middle[1]:g})"'
        yield f'<text class="mid" x="11" y="{middle[1]:g}" {turn}>{escape(self.y.label)}</text>'
        yield "</g>"
