"""Print how long a CSV file takes to read: text cells, then numbers of all columns.

python scripts/read_throughput.py            # 1,000,000 rows, 14 columns of numbers, 6 of text
python scripts/read_throughput.py pumps.csv  # another table
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from hourglass.data.readers.numbers import parse_numbers
from hourglass.data.readers.table_source import open_table

ROWS = 1_000_000


def write_table(path: Path) -> None:
    random = np.random.default_rng(0)
    columns = {f"n{i}": random.normal(size=ROWS).round(4) for i in range(14)}
    for i in range(6):
        levels = np.array([f"level {j}" for j in range(5 + 20 * i)])
        columns[f"t{i}"] = levels[random.integers(len(levels), size=ROWS)]
    csv.write_csv(pa.table(columns), path)


def main(path: Path) -> None:
    start = time.perf_counter()
    source = open_table(path)
    print(f"open {time.perf_counter() - start:.2f} s: {source.describe()}")
    for name, parse in (("cells", False), ("cells and numbers", True)):
        start, rows = time.perf_counter(), 0
        for batch in source.batches():
            rows += len(batch)
            for column in batch.columns if parse else ():
                parse_numbers(column, source.numbers)
        print(f"{name} {time.perf_counter() - start:.2f} s, {rows:,} rows")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"peak memory {peak:,.0f} MB, with the libraries; file {path.stat().st_size / 1e6:,.0f} MB"
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_table(Path(folder) / "table.csv")
            main(Path(folder) / "table.csv")
