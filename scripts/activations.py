"""Measure memory, disk and speed of vectors in shards that are larger than the memory in use.

    python scripts/activations.py --gigabytes 10 --width 768 --steps 400
    python scripts/activations.py --gigabytes 10 --packed

Writes .npy shards of normal random numbers into a temporary folder of the working folder, prepares
them, trains on them, and reads one epoch, from the disk and not from the page cache of the system.
`read` compares the buffered order with a permutation of all rows, of which only as many batches are
read as `--batches` says. Prints a line of JSON per step: seconds, the peak of the anonymous memory
of the process, and for reading gigabytes per second. The folder is removed.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import argument_parser, temporary_workspace, update_yaml
from prepare_memory import peak_memory

DATA = "large"
PREPARE = f"from hourglass.stages.prepare import prepare; prepare('{DATA}')"
PART_ROWS = 1 << 14


def main() -> None:
    """Print the measurements of one size."""
    parser = argument_parser(__doc__)
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float32")
    parser.add_argument("--packed", action="store_true", help="write .npz files; prepare only")
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--model", default="linear")
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=2000, help="at most, of one epoch of training")
    parser.add_argument("--batches", type=int, default=50, help="to read in a random permutation")
    options = parser.parse_args()
    os.environ["HOURGLASS_RECORD"] = "off"
    with temporary_workspace(Path.cwd()):
        files = write_shards(Path("shards"), options)
        write_settings(options)
        run("prepare", PREPARE, files)
        size = sum(file.stat().st_size for file in Path("data/prepared").rglob("*.npy"))
        print(json.dumps({"step": "disk", "prepared_gigabytes": size / 1e9}), flush=True)
        if options.packed:
            return
        train = f"from hourglass.stages.train import train; train('{DATA}', '{options.model}')"
        run("train", train, files)
        for order, batches in (("buffer", 0), ("permutation", options.batches)):
            code = (
                f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
                f"from activations import read; read({order!r}, {batches}, {options.batch_size})"
            )
            run(f"read, {order}", code, files)


def write_shards(folder: Path, options: Any) -> list[Path]:
    """Write the shards; numbers repeat after PART_ROWS vectors but for the first two of each."""
    folder.mkdir()
    dtype = np.dtype(options.dtype)
    rows = int(options.gigabytes * 1e9) // (options.width * dtype.itemsize) // options.shards
    part = np.random.default_rng(0).standard_normal((PART_ROWS, options.width)).astype(dtype)
    files = [folder / f"shard-{number:03}.npy" for number in range(options.shards)]
    for number, file in enumerate(files):
        array = np.lib.format.open_memmap(file, "w+", dtype, (rows, options.width))
        for start in range(0, rows, PART_ROWS):
            stop = min(start + PART_ROWS, rows)
            array[start:stop] = part[: stop - start]
            vector = np.arange(start, stop) + number * rows
            array[start:stop, 0], array[start:stop, 1] = vector % 2039, vector // 2039  # not equal
        array.flush()
        del array
        if options.packed:
            np.savez(file.with_suffix(".npz"), x=np.load(file, mmap_mode="r", allow_pickle=False))
            file.unlink()
    return sorted(folder.iterdir())


def write_settings(options: Any) -> None:
    """Write the data set and limit the training to one epoch of at most `steps` steps."""
    shares = {"train": 0.9, "validation": 0.02, "calibration": 0.02, "tuning": 0.03, "test": 0.03}
    settings = {
        "class_path": "hourglass.data.activations.Activations",
        "init_args": {"path": "shards", "fractions": shares},
        "model": {"latent_dim": 64, "hidden": [256]},
        "training": {"batch_size": options.batch_size, "max_epochs": 1},
    }
    Path(f"configs/data/{DATA}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    limits = {"limit_train_batches": options.steps, "limit_val_batches": 20}
    update_yaml("configs/trainer/cpu.yaml", limits)


def run(step: str, code: str, files: list[Path]) -> None:
    """Run code in a process, with files that are not in the page cache, and print measurements."""
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    anonymous, resident = peak_memory(code)
    found = {"step": step, "seconds": round(time.perf_counter() - start, 1)}
    found |= {"anonymous_gigabytes": anonymous / 1e9, "resident_gigabytes": resident / 1e9}
    print(json.dumps(found), flush=True)


def read(order: str, batches: int, batch_size: int) -> None:
    """Read batches of an epoch, 0 for all, in an order; print gigabytes per second."""
    from hourglass.data.datamodule import DataModule
    from hourglass.data.residency import Rows

    data = DataModule(DATA, batch_size, residency="stream")
    loader: Any = data.train_dataloader()
    if order == "permutation":
        rows = loader.rows
        loader.rows = Rows(rows.x, "stream", rows.device, rows.transform)
    start, values, vectors = time.perf_counter(), 0, 0
    for number, batch in enumerate(loader, 1):
        values, vectors = values + batch.numel(), vectors + len(batch)
        if number == batches:
            break
    seconds = time.perf_counter() - start
    found = {"step": f"speed, {order}", "batches": number, "read_seconds": round(seconds, 1)}
    rate = {
        "vectors_per_second": round(vectors / seconds),
        "GB_per_second": values * 4 / 1e9 / seconds,
    }
    print(json.dumps(found | rate), flush=True)


if __name__ == "__main__":
    main()
