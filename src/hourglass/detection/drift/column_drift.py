"""Drift of single columns of a table: their values, missing cells and new categories."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import chi2_contingency

from hourglass.core.suggestions import counted, quote
from hourglass.data.columns.bins import ColumnBins
from hourglass.data.columns.column import Column

MIN_PSI = 0.1  # a smaller difference of distributions does not matter, even if it is significant
MIN_EXPECTED = 5  # cells of a bin in the chi-square test; smaller bins are joined
FAR = 10  # ranges of the reference between it and a number far outside
MAX_NEW_VALUES = 1000  # counted per column
MAX_VALUES_SHOWN = 3
MAX_COLUMNS_IN_SENTENCE = 3


@dataclass(frozen=True)
class ColumnDrift:
    """The difference of a column's values between the reference and a file.

    `psi` is the population stability index, the sum over bins of (q - p) log(q / p). The p-value is
    that of a chi-square test, multiplied by the number of columns (Bonferroni).
    """

    name: str
    kind: str
    missing_before: float  # share of the cells
    missing: float
    new_before: float  # share of categories without a level of their own
    new: float
    new_values: dict[str, int]  # the most frequent ones
    far: int  # numbers far outside of the reference
    psi: float
    p_value: float
    changed: bool

    def to_json(self) -> dict[str, Any]:
        """Return the fields that apply to the kind of the column."""
        fields = asdict(self)
        if self.kind != "categorical":
            for name in ("new_before", "new", "new_values"):
                fields.pop(name)
        if self.kind != "numeric":
            fields.pop("far")
        return fields

    def __str__(self) -> str:
        """Return such as 'service (PSI 0.43, 12 % new values such as "tftp")'."""
        parts = [f"PSI {self.psi:.2f}"]
        if abs(self.missing - self.missing_before) >= 0.01:
            parts.append(f"{self.missing_before:.0%} -> {self.missing:.0%} missing")
        if self.new - self.new_before >= 0.01:
            examples = ", ".join(quote(value) for value in self.new_values)
            such = f" such as {examples}" if examples else ""
            parts.append(f"{self.new:.0%} new or rare values{such}")
        return f"{self.name} ({', '.join(parts)})"


class ColumnCounts:
    """The values of columns so far, counted in the bins of the reference."""

    def __init__(self, columns: Sequence[Column], reference: Sequence[ColumnBins]) -> None:
        self.columns = columns
        self.reference = reference
        self.counts = [np.zeros(len(bins.counts), np.int64) for bins in reference]
        self.new_values = [Counter[str]() for _ in columns]
        self.far = np.zeros(len(columns), np.int64)

    def add(self, x: np.ndarray, cells: pa.RecordBatch | None) -> None:
        """Count codes, (N, C); `cells` are the rows as they were read."""
        for i, (column, bins) in enumerate(zip(self.columns, self.reference, strict=True)):
            codes = x[:, i]
            self.counts[i] += bins.count(codes)
            if column.kind == "numeric":
                self.far[i] += count_far(codes, bins)
            if column.kind == "categorical" and cells is not None:
                rows = np.flatnonzero(codes == len(column.levels))
                if len(rows) and column.name in cells.schema.names:
                    self._count_new(i, cells[column.name].take(pa.array(rows)))

    def _count_new(self, i: int, cells: pa.Array) -> None:
        for value, count in Counter(map(str, cells.to_pylist())).items():
            if value in self.new_values[i] or len(self.new_values[i]) < MAX_NEW_VALUES:
                self.new_values[i][value] += count

    def drift(self, alpha: float) -> list[ColumnDrift]:
        """Return the drift of all columns, the largest difference first."""
        found = [self._column(i, alpha) for i in range(len(self.columns))]
        return sorted(found, key=lambda column: (-column.changed, -column.psi))

    def _column(self, i: int, alpha: float) -> ColumnDrift:
        column, before, now = self.columns[i], self.reference[i].counts, self.counts[i]
        before_shares, shares = (counts / max(1, counts.sum()) for counts in (before, now))
        is_category = column.kind == "categorical"
        psi = stability_index(before, now)
        p_value = min(1.0, homogeneity(before, now) * len(self.columns))
        return ColumnDrift(
            name=column.name,
            kind=column.kind,
            missing_before=float(before_shares[-1]),
            missing=float(shares[-1]),
            new_before=float(before_shares[-2]) if is_category else 0.0,
            new=float(shares[-2]) if is_category else 0.0,
            new_values=dict(self.new_values[i].most_common(MAX_VALUES_SHOWN)),
            far=int(self.far[i]),
            psi=psi,
            p_value=p_value,
            changed=p_value < alpha and psi >= MIN_PSI,
        )


def count_far(codes: np.ndarray, bins: ColumnBins) -> int:
    """Count the numbers, (N,), that are more than FAR ranges outside of the reference."""
    low, high = bins.edges[0], bins.edges[-1]
    size = max(high - low, abs(low), abs(high))
    with np.errstate(over="ignore", invalid="ignore"):  # NaN is a missing cell
        return int((np.maximum(low - codes, codes - high) > FAR * size).sum())


def stability_index(before: np.ndarray, now: np.ndarray) -> float:
    """Return the population stability index of two histograms, with half a cell added per bin."""
    used = before + now > 0
    p, q = ((counts[used] + 0.5) / (counts[used] + 0.5).sum() for counts in (before, now))
    return float(((q - p) * np.log(q / p)).sum())


def homogeneity(before: np.ndarray, now: np.ndarray) -> float:
    """Return the p-value of a chi-square test that two histograms are of one distribution.

    Bins with few expected cells are joined.
    """
    table = np.stack([before, now]).astype(np.float64)
    if not table.sum(1).all():
        return 1.0
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    small = expected.min(0) < MIN_EXPECTED
    table = np.column_stack([table[:, ~small], table[:, small].sum(1)])
    table = table[:, table.sum(0) > 0]
    return float(chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0


def column_sentence(columns: Sequence[ColumnDrift]) -> str:
    """Return sentences about changed columns and about numbers far outside of the reference."""
    changed = [column for column in columns if column.changed]
    far = [column for column in columns if column.far]
    names = ", ".join(column.name for column in far[:MAX_COLUMNS_IN_SENTENCE])
    rest = f" and {len(far) - MAX_COLUMNS_IN_SENTENCE} more" * (len(far) > MAX_COLUMNS_IN_SENTENCE)
    cells = counted(sum(column.far for column in far), "cell")
    outside = f" Far outside of the trained range: {cells} of {names}{rest}." if far else ""
    if not changed:
        return (
            "The distribution of no column has changed, nor its share of missing cells." + outside
        )
    more = len(changed) - MAX_COLUMNS_IN_SENTENCE
    named = "; ".join(str(column) for column in changed[:MAX_COLUMNS_IN_SENTENCE])
    end = f"; {more} more." if more > 0 else "."
    return f"Columns whose values have changed: {named}{end}{outside}"
