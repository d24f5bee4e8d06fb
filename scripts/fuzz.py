"""Try malformed files and command lines on every reader: no traceback, and no wrong answer.

    python scripts/fuzz.py --tries 1000

Prints a row a kind of input: tries, how many were refused in one sentence, answered rightly (as a
reference reader, or as what the file was made of, says), ended in a traceback, answered wrongly.
The same seed gives the same inputs; `--only idx --first 7 --tries 1` tries one of them again.
"""

import argparse
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from fuzzing import commands, detectors, idx, pictures, settings, tables
from fuzzing.cases import Case, end
from tqdm import tqdm
from workspace import enter

ENDS = ("refused", "right", "tracebacks", "wrong")
Make = Callable[[random.Random, Path], Case]


def main() -> None:
    """Print the table, and every input that came to a bad end; then the status is 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a kind of input, by its name in the table")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    arguments = parser.parse_args()
    found = rows(arguments.tries, arguments.seed, arguments.only, arguments.first)
    print(pd.DataFrame(found).to_markdown(index=False))
    sys.exit(any(row["tracebacks"] + row["wrong"] for row in found))


def rows(
    tries: int = 1000, seed: int = 0, only: str | None = None, first: int = 0
) -> list[dict[str, Any]]:
    """Try `tries` inputs in all, and return a row a kind of input.

    Columns: kind, tries, refused, right, tracebacks, wrong. What came to a bad end is printed to
    stderr with its number.
    """
    with tempfile.TemporaryDirectory() as folder, chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of images that are large
        enter(Path(folder) / "workspace")
        commands.workspace()
        known = kinds(Path(folder))
        chosen = {only: known[only]} if only else known
        counts = {name: dict.fromkeys(ENDS, 0) for name in chosen}
        for i in tqdm(range(tries), "inputs", disable=None):
            name = list(chosen)[i % len(chosen)]
            number = first + i // len(chosen)
            how, words = attempt(chosen[name], name, seed, number, Path(folder) / "files")
            counts[name][how] += 1
            if how in ("tracebacks", "wrong"):
                print(f"{name} {number}: {how}: {words}", file=sys.stderr)
    return [{"kind": name, "tries": sum(each.values()), **each} for name, each in counts.items()]


def attempt(make: Make, name: str, seed: int, number: int, folder: Path) -> tuple[str, str]:
    """Return how one input ends, and in which words; its files are in a folder of its kind."""
    place = folder / name.replace(" ", "-")
    place.mkdir(parents=True, exist_ok=True)
    return end(make(random.Random(f"{name} {seed} {number}"), place))


def kinds(folder: Path) -> dict[str, Make]:
    """Return what makes an input of every kind."""
    judge = detectors.detector(folder / "judge", images=True)
    return {
        "idx": idx.case,
        "CSV to train on": tables.of_csv,
        "CSV to score": tables.of_new_csv,
        "Parquet to train on": tables.of_parquet,
        "Parquet to score": tables.of_new_parquet,
        "npz to train on": pictures.of_npz,
        "npz to score": partial(pictures.of_new_npz, detector=judge),
        "images to train on": pictures.of_folder,
        "images to score": partial(pictures.of_new_picture, detector=judge),
        "detector": detectors.case,
        "settings": settings.case,
        "command line": commands.case,
    }


if __name__ == "__main__":
    os.environ["TQDM_MININTERVAL"] = "1"
    main()
