"""The data of the cases, in the workspace of the benchmark: prepared once, and kept."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import sparse
import yaml
from pyarrow import csv

from benchmarks.cases import TABLE
from hourglass.core.atomic import atomic_file, atomic_folder
from hourglass.core.paths import prepared_folder, raw_folder
from hourglass.data.credit_card import COMPONENTS, FRAUDS, ROWS, CreditCard
from hourglass.data.prepared import SPLITS, Prepared, Samples, write_prepared
from hourglass.stages.prepare import prepare

GENERATED = Path("data/own/generated_card.csv")
SHAKE = 0.05  # of a feature's standard deviation: no generated row equals another
FRACTIONS = {"train": 0.8, "validation": 0.05, "calibration": 0.05, "tuning": 0.05, "test": 0.05}
WIDE = (3, 64, 64)  # a sample of the set that is streamed
HELD_OUT = 256  # samples of each of its splits but train


def make(names: set[str]) -> None:
    """Make the data sets that are missing, by their names: "mnist", "mnist-512", "sparse-<n>"."""
    bases = {name.partition("-")[0] for name in names}
    if TABLE in bases:
        _configure_table()
        if not GENERATED.exists():
            generate()
    for name in sorted(bases - {"sparse"}):
        if not prepared_folder(name).exists():
            print(f"prepare {name}", flush=True)
            prepare(name)
    for name in sorted(names - bases):
        if not prepared_folder(name).exists():
            base, _, size = name.partition("-")
            if base == "sparse":
                rows = int(size) // math.prod(WIDE)
                sparse.write(prepared_folder(name), rows, WIDE, HELD_OUT)
            else:
                shorten(base, name, int(size))


def generate() -> None:
    """Write a table as large as the ULB card table: its rows, drawn again and shaken.

    Where only a subset of it is at hand, as from most mirrors, there is no other way to that size.
    """
    raw, rng = CreditCard().load(raw_folder()), np.random.default_rng(0)
    kinds = (np.flatnonzero(~raw.anomaly), ROWS - FRAUDS), (np.flatnonzero(raw.anomaly), FRAUDS)
    rows = np.concatenate([rng.choice(rows, count) for rows, count in kinds])
    rng.shuffle(rows)
    x = raw.x[rows] + SHAKE * raw.x.std(0) * rng.normal(size=(ROWS, raw.x.shape[1]))
    columns = dict(zip((*COMPONENTS, "log_amount"), x.T.astype(np.float32), strict=True))
    table = pa.table({**columns, "Class": raw.anomaly[rows].astype(np.int8)})
    with atomic_file(GENERATED) as temporary:
        csv.write_csv(table, temporary)


def _configure_table() -> None:
    init_args = {"path": GENERATED.as_posix(), "label": "Class", "normal": 0}
    config = {"class_path": "hourglass.data.table.Table"}
    text = yaml.safe_dump(config | {"init_args": init_args | {"fractions": FRACTIONS}})
    Path(f"configs/data/{TABLE}.yaml").write_text(text, encoding="utf-8")


def shorten(base: str, name: str, rows: int) -> None:
    """Write a prepared set with at most `rows` samples of each split of another, evenly spaced."""
    whole = Prepared.open(prepared_folder(base))
    samples = {}
    for split in SPLITS:
        part = whole.split(split)
        chosen = np.unique(np.linspace(0, len(part.x) - 1, rows).astype(int))
        samples[split] = Samples(**{key: value[chosen] for key, value in vars(part).items()})
    with atomic_folder(prepared_folder(name)) as folder:
        write_prepared(folder, samples, whole.card | {"data": name})
