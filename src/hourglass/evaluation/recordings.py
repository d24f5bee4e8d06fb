"""Recordings of a series: the rows that have a place on one time axis."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hourglass.data.blocks import run_of_row
from hourglass.data.series_encoding import SeriesEncoding


@dataclass(frozen=True)
class Recording:
    """Rows of one entity in the order of time; a gap lies between rows of different runs."""

    rows: np.ndarray  # (T,) indices
    time: np.ndarray  # (T,) ascending
    run: np.ndarray  # (T,)


def recordings(encoding: SeriesEncoding, x: np.ndarray) -> list[Recording]:
    """Return the recordings of codes, (N, R + C): one starts at each entity or step back in time.

    They are in the order of their first rows. A row of unknown time is placed by its step.
    """
    windows, entity = encoding.windows(x), encoding.entity(x)
    order = windows.order
    step = windows.step_of_row[order]
    run = run_of_row(windows)[order]
    time = _known_times(encoding.time(x)[order], step, run, encoding.step)
    starts = (np.diff(run) != 0) & (np.diff(time) < 0)
    if entity is not None:
        starts |= np.diff(entity[order]) != 0
    firsts = np.flatnonzero(np.append(True, starts))
    found = [
        # Times may descend within a step.
        Recording(order[part], np.maximum.accumulate(time[part]), run[part])
        for part in map(slice, firsts, [*firsts[1:], len(order)])
    ]
    return sorted(found, key=lambda one: int(one.rows.min()))


def _known_times(time: np.ndarray, step: np.ndarray, run: np.ndarray, width: float) -> np.ndarray:
    """Return the times, with those that are NaN placed by their steps, (T,), from a known one."""
    if not np.isnan(time).any():
        return time
    origin = pd.Series(time - step * width).groupby(run)
    filled = origin.ffill().groupby(run).bfill().fillna(0.0)
    return np.asarray(filled + step * width)
