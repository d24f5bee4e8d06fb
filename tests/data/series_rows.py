"""Rows of series for tests: codes with time and entity, and their encoding."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hourglass.data.columns.column import Column
from hourglass.data.series_encoding import SeriesEncoding

STEP = 10.0


def series_rows(
    rows: int, channels: int = 2, entities: int = 1, seed: int = 0
) -> tuple[np.ndarray, list[Column]]:
    """Return rows of series with jitter and gaps, (rows, 2 + channels), and their columns.

    Entities alternate in the order of time.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for entity in range(entities):
        steps = rng.choice([1, 1, 1, 1, 1, 2, 3, 7], rows // entities)
        time = steps.cumsum() * STEP + rng.normal(0, 1, len(steps))
        values = rng.normal(size=(len(steps), channels)).cumsum(0)
        parts.append(np.column_stack([np.full(len(steps), 7.0 * entity), time, values]))
    x = np.concatenate(parts)
    names = [Column(f"c{i}") for i in range(channels)]
    columns = [Column("machine", "entity"), Column("time", "time"), *names]
    return x[np.argsort(x[:, 1], kind="stable")], columns


def series_encoding(x: np.ndarray, columns: Sequence[Column], **settings: Any) -> SeriesEncoding:
    """Return an encoding of such rows."""
    return replace(SeriesEncoding.fit(columns, x), step=STEP, **settings)
