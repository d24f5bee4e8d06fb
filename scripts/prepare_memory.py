"""Measure the memory of `prepare` for generated Parquet tables of several sizes.

    python scripts/prepare_memory.py --rows 1000000 4000000 16000000 --columns 20
    python scripts/prepare_memory.py --rows 1000000 4000000 --roles --copies 0.3

For each size it prints the peak of the anonymous memory (RssAnon) and of the resident memory, which
includes pages of mapped files that the system may drop. The last line is the growth of the
anonymous memory per row between the smallest and the largest table. A table takes free disk space
of about 24 bytes per cell and 250 bytes per row.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from common import argument_parser, temporary_workspace
from pyarrow import parquet

BLOCK_ROWS = 1 << 17
POLL_SECONDS = 0.01
PREPARE = "from hourglass.stages.prepare import prepare; prepare('large')"


def main() -> None:
    """Print the peak memory for each number of rows, and the growth per row."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000, 16_000_000])
    parser.add_argument("--columns", type=int, default=20, help="columns of numbers")
    parser.add_argument("--roles", action="store_true", help="add a label, an id and a time")
    parser.add_argument("--copies", type=float, default=0, help="share of rows that equal others")
    options = parser.parse_args()
    init_args: dict[str, Any] = {"path": "large.parquet"}
    if options.roles:
        init_args |= {"label": "state", "normal": "ok", "id": "key"}
        # Splits by time leave copies where they are.
        init_args |= {"drop": ["t"]} if options.copies else {"time": "t"}
    settings = {"class_path": "hourglass.data.table.Table", "init_args": init_args}
    peaks = {}
    for rows in sorted(options.rows):
        with temporary_workspace(Path.cwd()):
            Path("configs/data/large.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
            write_table(Path("large.parquet"), rows, options.columns, options.roles, options.copies)
            size = Path("large.parquet").stat().st_size
            start = time.perf_counter()
            peaks[rows], resident = peak_memory()
            seconds = time.perf_counter() - start
        print(
            f"{rows:,} rows, {size / 1e9:.2f} GB: {seconds:.0f} s, "
            f"{peaks[rows] / 1e6:.0f} MB anonymous, {resident / 1e6:.0f} MB resident",
            flush=True,
        )
    if len(peaks) > 1:
        least, most = min(peaks), max(peaks)
        growth = (peaks[most] - peaks[least]) / (most - least)
        print(f"{growth:.1f} bytes of anonymous memory per row")


def peak_memory(code: str = PREPARE) -> tuple[int, int]:
    """Run Python code in another process; return its peaks of RssAnon and of RSS, in bytes."""
    anonymous = resident = 0
    process = subprocess.Popen([sys.executable, "-c", code])
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        found = dict(re.findall(r"^(RssAnon|VmHWM):\s+(\d+) kB", status.read_text(), re.MULTILINE))
        anonymous = max(anonymous, int(found.get("RssAnon", 0)) << 10)
        resident = max(resident, int(found.get("VmHWM", 0)) << 10)
        time.sleep(POLL_SECONDS)
    if process.returncode:
        sys.exit(process.returncode)
    return anonymous, resident


def write_table(path: Path, rows: int, columns: int, roles: bool, copies: float) -> None:
    """Write a table block by block; a copy repeats a row of the block before."""
    rng = np.random.default_rng(0)
    writer, before = None, np.empty((0, columns))
    for start in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - start)
        x = rng.normal(size=(count, columns))
        copied = np.flatnonzero(rng.random(count) < copies) if len(before) else np.empty(0, int)
        x[copied] = before[copied]
        cells: dict[str, np.ndarray] = {f"x{i}": x[:, i] for i in range(columns)}
        if roles:
            numbers = np.arange(start, start + count)
            cells["state"] = rng.choice(["ok", "fault"], count, p=[0.9, 0.1])
            cells["key"] = np.char.add("key ", numbers.astype(str))
            cells["t"] = numbers + rng.integers(0, 1000, count)
        table = pa.table(cells)
        writer = writer or parquet.ParquetWriter(
            path, table.schema, compression="none", use_dictionary=["state"]
        )
        writer.write_table(table)
        before = x
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    os.environ["HOURGLASS_RECORD"] = "off"
    main()
