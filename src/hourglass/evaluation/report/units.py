"""Units of the sparse codes of tables and vectors, read from the tables of stage `study`."""

from itertools import groupby
from pathlib import Path

import numpy as np

from hourglass.core.paths import Cell
from hourglass.evaluation.report.glossary import score_text
from hourglass.evaluation.report.pictures import Rows
from hourglass.evaluation.report.tables import read_csv

SHOWN_UNITS = 12
SHOWN_SAMPLES = 3
SHOWN_VALUES = 3


def read_units(cell: Cell) -> Rows:
    """Return some units, from the most to the least frequent one, evenly spaced; [] for images.

    A row has unit, firing_frequency, mean_activation, `weights`, the inputs with the largest
    decoder weights, and `samples`, the values of the samples that activate it most.
    """
    folder = cell / "study/tables"
    units, samples = _read(folder / "units.csv"), _read(folder / "unit_samples.csv")
    if not units or "input_1" not in units[0] or not samples:
        return []
    tops = {unit: [*rows] for unit, rows in groupby(samples, lambda row: row["unit"])}
    listed = sorted(
        (row for row in units if row["unit"] in tops),
        key=lambda row: -float(row["firing_frequency"]),
    )
    places = np.unique(np.linspace(0, len(listed) - 1, SHOWN_UNITS).round().astype(int))
    return [
        {**row, "weights": _weights(row), "samples": _samples(tops[row["unit"]])}
        for row in (listed[place] for place in places)
    ]


def _weights(row: dict[str, str]) -> str:
    pairs = ((row.get(f"input_{i}"), row.get(f"weight_{i}")) for i in range(1, SHOWN_VALUES + 1))
    return ", ".join(f"{name} {score_text(weight)}" for name, weight in pairs if name and weight)


def _samples(rows: Rows) -> str:
    texts = [
        ", ".join(filter(None, (row.get(f"value_{i}") for i in range(1, SHOWN_VALUES + 1))))
        for row in rows[:SHOWN_SAMPLES]
    ]
    return "; ".join(texts)


def _read(path: Path) -> Rows:
    return read_csv(path) if path.exists() else []
