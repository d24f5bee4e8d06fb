"""The encoding of one column of a table: its codes to network inputs."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np

from hourglass.data.columns.column import Column, ColumnScaling

Array: TypeAlias = Any

SECONDS = {"hour": 86_400.0, "weekday": 604_800.0, "month": 365.2425 * 86_400}  # of a cycle
# A column has heavy tails if its largest distance from the median exceeds this number of spreads,
# the distance between the 5th and the 95th percentile. It is scaled by the logarithm then.
HEAVY_TAIL = 20
# Numbers farther from the median do not count for mean and standard deviation.
MAX_SPREADS = 100
QUANTILES = 64  # knots of the Gauss rank
MAX_EXPONENT = 690.0  # of logarithmic scaling, so that the inverse is finite


@dataclass(frozen=True)
class ColumnEncoding:
    """The map from the codes of a column, (N, 1), to its inputs, (N, width).

    A number has one input, scaled. `offset` and `scale` are in double precision: a column of epoch
    seconds would lose its differences in single precision. A boolean has one input, 0 or 1. A
    category has one input per level and one for other values. A date has a sine and a cosine for
    each cyclic part (hour of the day, day of the week, month of the year), and one for its trend.
    """

    column: Column
    scaling: ColumnScaling  # of a number, with "auto" resolved
    offset: float = 0.0
    scale: float = 1.0
    unit: float = 1.0  # of a number with logarithmic scaling: log(1 + abs(x) / unit)
    knots: tuple[float, ...] = ()  # of a number with quantile scaling
    missing_share: float = 0.0  # in the train split
    count: int = 0  # cells of the train split

    @classmethod
    def fit(cls, column: Column, codes: np.ndarray) -> "ColumnEncoding":
        """Fit the encoding to the codes of the train split, (N,)."""
        missing = np.isnan(codes)
        share = float(missing.mean()) if len(codes) else 0.0
        known: dict[str, Any] = {"missing_share": share, "count": len(codes)}
        values = codes[~missing]
        if column.kind == "datetime":
            return cls(column, "standard", *_standard(values), **known)  # of the trend
        if column.kind != "numeric":
            return cls(column, "none", **known)
        values = np.clip(values, -1e300, 1e300)
        scaling = column.scaling
        if scaling == "auto":
            scaling = "log" if _has_heavy_tails(values) else "standard"
        unit, knots = 1.0, ()
        if scaling == "log":
            sizes = np.abs(values[values != 0])
            unit = float(np.median(sizes)) if len(sizes) else 1.0
            values = _log(np, values, unit)
        elif scaling == "quantile" and len(values):
            levels = np.linspace(0, 1, min(QUANTILES, len(values)))
            knots = tuple(np.unique(np.quantile(values, levels)).tolist())
        return cls(column, scaling, *_FIT[scaling](values), unit, knots, **known)

    @property
    def width(self) -> int:
        """Return the number of inputs, without the indicator."""
        if self.column.kind == "categorical":
            return len(self.column.levels) + 1
        if self.column.kind == "datetime":
            return sum(1 if part == "trend" else 2 for part in self.column.parts)
        return 1

    @property
    def has_indicator(self) -> bool:
        """Return whether an input tells that the cell is missing."""
        return self.missing_share > 0

    @property
    def is_linear(self) -> bool:
        """Return whether the only input is (x - offset) / scale."""
        return self.column.kind == "numeric" and self.scaling not in ("log", "quantile")

    @property
    def head(self) -> dict[str, Any]:
        """Return what a network's input and output heads need to know."""
        return {
            "kind": self.column.kind,
            "width": self.width,
            "indicator": self.has_indicator,
            "missing_share": self.missing_share,
            "count": self.count,
        }

    def encode(self, xp: Any, x: Array, offset: Array, scale: Array) -> Array:
        """Return the inputs, (N, width) float64, of codes, (N, 1).

        `xp` is the module of the array, numpy or torch. `offset` and `scale` are (width,).
        """
        if self.column.kind == "numeric":
            if self.scaling == "log":
                x = _log(xp, x, _constant(xp, self.unit, x))
            elif self.scaling == "quantile":
                x = self._gauss_rank(xp, x)
            return (x - offset) / scale
        if self.column.kind == "boolean":
            return x
        if self.column.kind == "categorical":
            levels = xp.arange(self.width, **_like(xp, x))
            return xp.where(xp.isnan(x), x, xp.asarray(x == levels, dtype=x.dtype))
        inputs = []
        for part in self.column.parts:
            if part == "trend":
                inputs.append((x - offset[:1]) / scale[:1])
            else:
                angle = x * _constant(xp, 2 * np.pi / SECONDS[part], x)
                inputs += [xp.sin(angle), xp.cos(angle)]
        return xp.concatenate(inputs, 1)

    def decode(self, inputs: Array, xp: Any = np) -> Array:
        """Return the codes, (N,), of inputs or reconstructions, (N, width), in float64.

        The code of a date is that of its trend; NaN without one.
        """
        first = inputs[:, 0]
        if self.column.kind == "categorical":
            best = xp.asarray(inputs.argmax(1), dtype=inputs.dtype)
            return xp.where(xp.isnan(first), first, best)
        if self.column.kind == "boolean":
            return xp.where(xp.isnan(first), first, xp.asarray(first > 0.5, dtype=inputs.dtype))
        if self.column.kind == "datetime":
            if "trend" not in self.column.parts:
                return first * xp.nan
            before = self.column.parts[: self.column.parts.index("trend")]
            first = inputs[:, 2 * len(before)]
        values = first * _constant(xp, self.scale, inputs) + _constant(xp, self.offset, inputs)
        if self.column.kind == "numeric" and self.scaling == "log":
            sizes = xp.expm1(abs(values).clip(0, MAX_EXPONENT)) * _constant(xp, self.unit, inputs)
            return xp.sign(values) * sizes
        if self.column.kind == "numeric" and self.scaling == "quantile":
            return self._from_gauss_rank(xp, values)
        return values

    def _gauss_rank(self, xp: Any, x: Array) -> Array:
        """Return the normal quantile of the rank, linear between the knots and beyond them."""
        if len(self.knots) < 2:
            return x - _constant(xp, sum(self.knots), x)
        low, high = (_constant(xp, self.knots[end], x) for end in (0, -1))
        beyond = ((x - high).clip(0) - (low - x).clip(0)) / (high - low)
        return _interpolate(xp, x, self.knots, self._normal_quantiles) + beyond

    def _from_gauss_rank(self, xp: Any, values: Array) -> Array:
        if len(self.knots) < 2:
            return values + _constant(xp, sum(self.knots), values)
        return _interpolate(xp, values, self._normal_quantiles, self.knots)

    @property
    def _normal_quantiles(self) -> tuple[float, ...]:
        """Return the normal quantiles of the knots' ranks."""
        tail = QUANTILES**-2
        ranks = np.linspace(0, 1, len(self.knots)).clip(tail, 1 - tail)
        return tuple(map(NormalDist().inv_cdf, ranks.tolist()))

    def to_dict(self) -> dict[str, Any]:
        """Return the encoding as JSON values, for `from_dict`."""
        fitted = {key: value for key, value in vars(self).items() if key != "column"}
        return {**self.column.to_dict(), **fitted, "knots": list(self.knots)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ColumnEncoding":
        """Return the encoding from the values of `to_dict`."""
        names = Column.__dataclass_fields__.keys() & values.keys()  # older files lack some
        column = Column.from_dict({key: values[key] for key in names})
        fitted = {key: values[key] for key in cls.__dataclass_fields__ if key != "column"}
        return cls(column, **fitted | {"knots": tuple(fitted["knots"])})


def _like(xp: Any, x: Array) -> dict[str, Any]:
    """Return the arguments that create an array of the type, and on the device, of `x`."""
    return {"dtype": x.dtype} if xp is np else {"dtype": x.dtype, "device": x.device}


def _constant(xp: Any, value: Any, like: Array) -> Array:
    """Return a constant in double precision, which an ONNX export does not keep for a number."""
    return value if xp is np else xp.asarray(value, **_like(xp, like))


def _log(xp: Any, x: Array, unit: Array) -> Array:
    return xp.sign(x) * xp.log1p(abs(x) / unit)


def _interpolate(xp: Any, x: Array, places: tuple[float, ...], values: tuple[float, ...]) -> Array:
    """Return the piecewise linear function with `values` at `places`, constant beyond them."""
    if xp is np:
        return np.interp(x, places, values)
    low, step = (
        _constant(xp, array, x)
        for array in (np.array(places[:-1]), np.stack([np.diff(places), np.diff(values)]))
    )
    shares = ((x[..., None] - low) / step[0]).clip(0, 1)
    return (shares * step[1]).sum(-1) + _constant(xp, values[0], x)


def _has_heavy_tails(values: np.ndarray) -> bool:
    if not len(values):
        return False
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    return bool(np.abs(values - median).max() > HEAVY_TAIL * (high - low) > 0)


def _positive(scale: float) -> float:
    return scale if scale > 0 else 1.0


def _standard(values: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation, without numbers that are absurdly far from the others."""
    if not len(values):
        return 0.0, 1.0
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    if high > low:
        values = values[np.abs(values - median) <= MAX_SPREADS * (high - low)]
    if values.min() == values.max():  # rounding would give a small deviation
        return float(values[0]), 1.0
    return float(values.mean()), float(values.std())


def _robust(values: np.ndarray) -> tuple[float, float]:
    """Return the median, and the interquartile range in units of a normal standard deviation."""
    if not len(values):
        return 0.0, 1.0
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return float(median), _positive(float(high - low) / 1.349)


def _minmax(values: np.ndarray) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    return float(values.min()), _positive(float(np.ptp(values)))


_FIT = {
    "standard": _standard,
    "log": _standard,
    "robust": _robust,
    "minmax": _minmax,
    "quantile": lambda values: (0.0, 1.0),
    "none": lambda values: (0.0, 1.0),
}
