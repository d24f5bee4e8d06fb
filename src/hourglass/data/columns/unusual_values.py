"""Unusual numbers and dates of a column: fill values, infinite and huge ones."""

import numpy as np

from hourglass.core.suggestions import counted
from hourglass.data.columns.arrow_cells import LARGEST
from hourglass.data.columns.date_parts import DAY
from hourglass.data.columns.statistics import NumberStatistics

FAR = 10  # ranges of the other values between a fill value and them
VERY_FAR = 1e6  # the same for a single value
MIN_OTHERS = 10  # fewer have no range worth a comparison


def unusual_values(found: NumberStatistics, is_date: bool = False) -> tuple[str, ...]:
    """Return sentences about values far outside of the others: fill values and huge ones."""
    notes = []
    ends = [(found.least, found.least_count), (found.most, found.most_count)]
    sample = found.quantile_sample
    others = sample[(sample != found.least) & (sample != found.most)]
    if len(others) < MIN_OTHERS:
        return ()
    low, high = float(others.min()), float(others.max())
    usual = max(high - low, DAY) if is_date else max(high - low, abs(high), abs(low), 1e-300)
    for value, count in ends:
        distance = max(low - value, value - high) / usual
        shown = f"{np.datetime64(int(value), 's')}"[:10] if is_date else f"{value:g}"
        if abs(value) == LARGEST:
            notes.append(f"infinite in {counted(count, 'cell')}")
        elif count > 1 and distance > FAR:
            notes.append(f"{shown} in {counted(count, 'cell')} may mean a missing value")
        elif distance > VERY_FAR:
            notes.append(f"{shown} is far outside of the other values")
    return tuple(notes)
