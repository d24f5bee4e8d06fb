"""Measure `hourglass score` on a million rows: throughput and peak memory.

    python scripts/score_throughput.py         # after `dvc repro`, on the cells of breast_cancer

The rows are samples of the data set with noise. For comparison: the bare forward pass of the
network over a tensor in memory, in batches of the same size, and reading the file only. The three
measurements alternate three times; ratios are of the best times.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from common import argument_parser, resident_bytes
from pyarrow import csv, parquet

from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared_data import Prepared
from hourglass.detection.inference import batch_size
from hourglass.networks.weights import load

DATA, ROUNDS = "breast_cancer", 3


def main() -> None:
    """Measure both formats and print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--models", nargs="+", default=["denoising", "convolutional"])
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return _score(*arguments.worker)
    x, names = _rows(arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        table = pa.table(dict(zip(names, x.T.astype(np.float64), strict=True)))
        files = {suffix: Path(folder, f"table.{suffix}") for suffix in ("csv", "parquet")}
        csv.write_csv(table, files["csv"])
        parquet.write_table(table, files["parquet"])
        del table
        for model in arguments.models:
            _compare(model, x, files)


def _rows(count: int) -> tuple[np.ndarray, list[str]]:
    """Return random rows like those of the data set, (count, C), and the feature names."""
    prepared = Prepared.open(prepared_folder(DATA))
    train, rng = np.array(prepared.split("train").x), np.random.default_rng(0)
    x = train[rng.integers(len(train), size=count)]
    x *= rng.normal(1, 0.05, x.shape)
    return x, prepared.card["feature_names"]


def _compare(model: str, x: np.ndarray, files: dict[str, Path]) -> None:
    bare: list[float] = []
    measured: dict[str, list[list[float]]] = {suffix: [] for suffix in files}
    for _ in range(ROUNDS):
        bare.append(_bare(model, x))
        for suffix, file in files.items():
            measured[suffix].append(_worker(model, file))
    print(f"{model}: bare forward pass {len(x) / min(bare):,.0f} rows per second")
    for suffix, results in measured.items():
        reading, seconds, memory = zip(*results, strict=True)
        print(
            f"  {suffix}: only read {len(x) / min(reading):,.0f}, "
            f"scored {len(x) / min(seconds):,.0f} rows per second, "
            f"{min(bare) / min(seconds):.2f} of the bare pass; {max(memory) / 1e9:.2f} GB at most"
        )


def _bare(model: str, x: np.ndarray) -> float:
    """Return the seconds of the network's forward pass over a tensor."""
    network = load(Cell(DATA, model).output("train"))
    rows = torch.from_numpy(Prepared.open(prepared_folder(DATA)).scaling(x))
    with torch.inference_mode():
        network(rows[: batch_size(x)])
        start = time.perf_counter()
        for batch in rows.split(batch_size(x)):
            network(batch)
    return time.perf_counter() - start


def _worker(model: str, file: Path) -> list[float]:
    """Return the seconds of reading and of scoring a file, and the peak bytes, of a new process."""
    out = file.with_name(f"scores{file.suffix}")
    command = [sys.executable, __file__, "--worker", model, str(file), str(out)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(each) for each in printed.splitlines()[-1].split()]


def _score(model: str, file: str, out: str) -> None:
    """Time the command `score`, without the start of the interpreter and the imports."""
    from hourglass.cli.score import score
    from hourglass.data.readers import table_chunks  # noqa: F401
    from hourglass.data.readers.chunks import read_chunks
    from hourglass.detection.detector import Detector

    detector, start = Detector.of_cell(Cell(DATA, model)), time.perf_counter()
    for _ in read_chunks(Path(file), detector, None, resize=False):
        pass
    reading, start = time.perf_counter() - start, time.perf_counter()
    score(DATA, model, Path(file), Path(out))
    print(f"\n{reading} {time.perf_counter() - start} {resident_bytes('VmHWM')}")


if __name__ == "__main__":
    main()
