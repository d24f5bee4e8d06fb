"""Measure what seals cost those who read: seconds beside those of reading without them.

    python scripts/sealing.py WORKSPACE mnist convolutional

Each figure is the least of five, with the files in the system's cache; a stage or verb pays for
what it reads, once.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pandas as pd

from hourglass.core import dvc_lock
from hourglass.core.atomic import sha256
from hourglass.core.checksums import read_with_checksum
from hourglass.core.dvc_lock import locked_as_written
from hourglass.core.paths import Cell
from hourglass.data.prepared import SPLITS
from hourglass.detection.detector import FILES

REPEATS = 5


def main() -> None:
    """Print a row for everything that is read and checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("data")
    parser.add_argument("model")
    arguments = parser.parse_args()
    with chdir(arguments.workspace):
        found = rows(Cell(arguments.data, arguments.model))
    print(pd.DataFrame(found).to_markdown(index=False, floatfmt=".4f"))


def rows(cell: Cell) -> list[dict[str, object]]:
    """Return what is read, its megabytes, and the seconds that its check takes."""
    arrays = {f"the split {name}": sorted((cell.prepared / name).glob("*.npy")) for name in SPLITS}
    read = {"the detector": [cell / name for name in FILES], **arrays}
    found = [
        _row(what, files, lambda files=files: [sha256(file) for file in files])  # type: ignore[misc]
        for what, files in read.items()
    ]
    cards = [
        cell.prepared / "card.json",
        cell / "train/network.json",
        cell / "calibrate/detector.json",
    ]
    found.append(
        _row("the sealed JSON files", cards, lambda: [read_with_checksum(each) for each in cards])
    )
    if dvc_lock.LOCK.exists():
        runs = cell.folder.parent
        files = [file for file in runs.rglob("*") if file.is_file()]
        found.append(_row(f"{runs}, as compare does", files, lambda: locked_as_written([runs])))
    return found


def _row(what: str, files: list[Path], check: Callable[[], object]) -> dict[str, object]:
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        check()
        seconds.append(time.perf_counter() - start)
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    return {"checked": what, "MB": megabytes, "seconds": min(seconds)}


if __name__ == "__main__":
    main()
