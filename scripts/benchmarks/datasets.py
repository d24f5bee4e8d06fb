"""The data sets of the cases, created once in the workspace of the benchmark."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from common import prepare_missing
from large_array import write_sparse
from pyarrow import csv

from benchmarks.cases import TABLE
from hourglass.core.atomic import atomic_file, atomic_folder
from hourglass.core.paths import prepared_folder, raw_folder
from hourglass.data.credit_card import OFFICIAL_FRAUDS, OFFICIAL_ROWS, CreditCard
from hourglass.data.prepared_data import SPLITS, Prepared, Samples, write_prepared

GENERATED = Path("data/own/generated_card.csv")
NOISE = 0.05  # in standard deviations of a feature, so that generated rows differ
FRACTIONS = {"train": 0.8, "validation": 0.05, "calibration": 0.05, "tuning": 0.05, "test": 0.05}
STREAMED_SHAPE = (3, 64, 64)  # sample shape of the streamed data
SAMPLES_OUTSIDE_TRAIN = 256  # per split of the streamed data


def create_missing(names: set[str]) -> None:
    """Create missing data sets by their names: "mnist", "mnist-512", "sparse-<bytes>"."""
    bases = {name.partition("-")[0] for name in names}
    if TABLE in bases:
        _configure_table()
        if not GENERATED.exists():
            generate()
    prepare_missing(*sorted(bases - {"sparse"}))
    for name in sorted(names - bases):
        if not prepared_folder(name).exists():
            base, _, size = name.partition("-")
            if base == "sparse":
                rows, folder = int(size) // math.prod(STREAMED_SHAPE), prepared_folder(name)
                write_sparse(folder, rows, STREAMED_SHAPE, SAMPLES_OUTSIDE_TRAIN)
            else:
                shorten(base, name, int(size))


def generate() -> None:
    """Write a table of the size of the ULB card table: its rows, resampled with noise.

    Most mirrors have only a subset of that table.
    """
    raw, rng = CreditCard().load(raw_folder()), np.random.default_rng(0)
    kinds = (
        (np.flatnonzero(~raw.anomaly), OFFICIAL_ROWS - OFFICIAL_FRAUDS),
        (np.flatnonzero(raw.anomaly), OFFICIAL_FRAUDS),
    )
    rows = np.concatenate([rng.choice(rows, count) for rows, count in kinds])
    rng.shuffle(rows)
    x = raw.x[rows] + NOISE * raw.x.std(0) * rng.normal(size=(OFFICIAL_ROWS, raw.x.shape[1]))
    columns = dict(zip(raw.feature_names, x.T.astype(np.float32), strict=True))
    table = pa.table({**columns, "Class": raw.anomaly[rows].astype(np.int8)})
    with atomic_file(GENERATED) as temporary:
        csv.write_csv(table, temporary)


def _configure_table() -> None:
    init_args = {"path": GENERATED.as_posix(), "label": "Class", "normal": 0}
    config = {"class_path": "hourglass.data.table.Table"}
    text = yaml.safe_dump(config | {"init_args": init_args | {"fractions": FRACTIONS}})
    Path(f"configs/data/{TABLE}.yaml").write_text(text, encoding="utf-8")


def shorten(base: str, name: str, rows: int) -> None:
    """Write a prepared data set with at most `rows` evenly spaced samples per split of another."""
    full = Prepared.open(prepared_folder(base))
    samples = {}
    for split in SPLITS:
        part = full.split(split)
        chosen = np.unique(np.linspace(0, len(part.x) - 1, rows).astype(int))
        samples[split] = Samples(**{key: value[chosen] for key, value in part.arrays().items()})
    with atomic_folder(prepared_folder(name)) as folder:
        write_prepared(folder, samples, full.card | {"data": name})
