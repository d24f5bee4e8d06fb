"""Score a table of a million rows: rows a second against the bare forward pass, and peak memory.

    python scripts/score_throughput.py         # after `dvc repro`; takes breast_cancer's denoising

The rows are drawn from the data set's own, with noise. The bare pass is the network over a tensor
in memory, in portions of the same size, nothing read, scored or written. Each is measured three
times in turn, as the machine is noisy; the ratio is that of the best.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pyarrow import csv, parquet

from hourglass.data.packed import Prepared
from hourglass.detection.scoring import BATCH_SIZE
from hourglass.weights import load
from hourglass.workspace import Cell

ROUNDS = 3


def main() -> None:
    """Measure both formats and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return _score(*map(Path, arguments.worker))
    cell = Cell("breast_cancer", "denoising")
    x, names = _rows(cell, arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        table = pa.table(dict(zip(names, x.T.astype(np.float64), strict=True)))
        files = {suffix: Path(folder, f"table.{suffix}") for suffix in ("csv", "parquet")}
        csv.write_csv(table, files["csv"])
        parquet.write_table(table, files["parquet"])
        found: dict[str, list[tuple[float, float]]] = {suffix: [] for suffix in files}
        bare = []
        for _ in range(ROUNDS):
            bare.append(_bare(cell, x))
            for suffix, file in files.items():
                found[suffix].append(_worker(file, Path(folder, f"scores.{suffix}")))
    print(f"bare forward pass: {len(x) / min(bare):,.0f} rows a second")
    for suffix, each in found.items():
        seconds, memory = min(each)[0], max(peak for _, peak in each)
        print(
            f"score, {suffix}: {len(x) / seconds:,.0f} rows a second, "
            f"{min(bare) / seconds:.2f} of the bare pass, {memory / 1e9:.2f} GB at most"
        )


def _rows(cell: Cell, count: int) -> tuple[np.ndarray, list[str]]:
    """Return rows like those of the data set, (count, F) float32, and the names of the features."""
    prepared = Prepared.open(cell.prepared)
    train, rng = np.array(prepared.split("train").x), np.random.default_rng(0)
    x = train[rng.integers(len(train), size=count)]
    x *= rng.normal(1, 0.05, x.shape).astype(np.float32)
    return x, prepared.card["feature_names"]


def _bare(cell: Cell, x: np.ndarray) -> float:
    """Return the seconds of the network's forward pass over a tensor."""
    network, rows = load(cell.folder), torch.from_numpy(x)
    with torch.inference_mode():
        network(rows[:BATCH_SIZE])
        start = time.perf_counter()
        for batch in rows.split(BATCH_SIZE):
            network(batch)
    return time.perf_counter() - start


def _worker(file: Path, out: Path) -> tuple[float, float]:
    """Return seconds and peak bytes of scoring a file in a process of its own."""
    command = [sys.executable, __file__, "--worker", str(file), str(out)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, memory = printed.splitlines()[-1].split()
    return float(seconds), float(memory)


def _score(file: Path, out: Path) -> None:
    """Score a file as the verb does; the interpreter's start and the imports are not counted."""
    from hourglass.score import score
    from hourglass.streams import highest, judged, output, portions, tables  # noqa: F401

    start = time.perf_counter()
    score("breast_cancer", "denoising", file, out)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"\n{seconds} {peak}")


if __name__ == "__main__":
    main()
