"""Malformed files and command lines for every reader.

    PYTHONPATH=src:scripts python -m tests.robustness.fuzz --tries 1000

Prints one row per kind of input with the numbers of tries, refusals in one sentence, right answers
(as a reference reader or the generator says), tracebacks and wrong answers. A seed always gives the
same inputs; `--only idx --first 7 --tries 1` repeats one of them.
"""

import random
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

from common import enter
from tqdm import tqdm

from tests.robustness.fuzz import commands, detectors, idx, images, settings, tables
from tests.robustness.fuzz.case import Case, run_case

ENDS = ("refused", "right", "tracebacks", "wrong")
MakeCase = Callable[[random.Random, Path], Case]


def run_cases(
    tries: int = 1000, seed: int = 0, only: str | None = None, first: int = 0
) -> list[dict[str, Any]]:
    """Run `tries` cases; return one row per kind: kind, tries and the four ENDS.

    Tracebacks and wrong answers are printed to stderr with the number of the case.
    """
    with tempfile.TemporaryDirectory() as folder, chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, for large images
        enter(Path(folder) / "workspace")
        commands.make_workspace()
        makers = kinds(Path(folder))
        chosen = {only: makers[only]} if only else makers
        counts = {name: dict.fromkeys(ENDS, 0) for name in chosen}
        for i in tqdm(range(tries), "inputs", disable=None, mininterval=1):
            name = list(chosen)[i % len(chosen)]
            number = first + i // len(chosen)
            end, words = attempt(chosen[name], name, seed, number, Path(folder) / "files")
            counts[name][end] += 1
            if end in ("tracebacks", "wrong"):
                print(f"{name} {number}: {end}: {words}", file=sys.stderr)
    return [{"kind": name, "tries": sum(each.values()), **each} for name, each in counts.items()]


def attempt(make: MakeCase, name: str, seed: int, number: int, folder: Path) -> tuple[str, str]:
    """Run one case, with its files in a folder of its kind; return its end and the message."""
    place = folder / name.replace(" ", "-")
    place.mkdir(parents=True, exist_ok=True)
    return run_case(make(random.Random(f"{name} {seed} {number}"), place))


def kinds(folder: Path) -> dict[str, MakeCase]:
    """Return the function that makes a case, per kind of input."""
    detector = detectors.make_detector(folder / "judge", images=True)
    return {
        "idx": idx.make_case,
        "CSV to train on": tables.of_csv,
        "CSV to score": tables.of_new_csv,
        "Parquet to train on": tables.of_parquet,
        "Parquet to score": tables.of_new_parquet,
        "npz to train on": images.of_npz,
        "npz to score": partial(images.of_new_npz, detector=detector),
        "images to train on": images.of_folder,
        "images to score": partial(images.of_new_image, detector=detector),
        "detector": detectors.make_case,
        "settings": settings.make_case,
        "command line": commands.make_case,
    }
