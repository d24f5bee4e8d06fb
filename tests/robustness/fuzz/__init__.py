"""Malformed files and command lines for every reader.

A case ends in a refusal in one sentence, the right answer (as a reference reader or the generator
says), a traceback or a wrong answer. A seed always gives the same inputs.
"""

import random
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir
from functools import partial
from pathlib import Path

from common import enter

from tests.robustness.fuzz import commands, detectors, idx, images, settings, tables
from tests.robustness.fuzz.case import Case, End, run_case

MakeCase = Callable[[random.Random, Path], Case]


def run_cases(tries: int = 1000, seed: int = 0) -> Iterator[tuple[str, End, str]]:
    """Run `tries` cases of all kinds in turn; yield the kind, the end and the message of each."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, for large images
        makers = enter_workspace(Path(folder))
        for i in range(tries):
            kind = list(makers)[i % len(makers)]
            end, message = attempt(makers[kind], f"{kind} {seed} {i // len(makers)}")
            yield kind, end, message


def attempt(make: MakeCase, seed: str) -> tuple[End, str]:
    """Run one case, with its files in a folder of its own; return its end and the message."""
    with tempfile.TemporaryDirectory() as folder:
        return run_case(make(random.Random(seed), Path(folder)))


def enter_workspace(folder: Path) -> dict[str, MakeCase]:
    """Work in a new workspace; return the function that makes a case, per kind of input."""
    enter(folder / "workspace")
    commands.make_workspace()
    detector = detectors.make_detector(folder / "judge", images=True)
    return {
        "idx": idx.make_case,
        "CSV": partial(tables.make_case, tables.write_csv),
        "Parquet": partial(tables.make_case, tables.write_parquet),
        "npz to train on": images.of_npz,
        "npz to score": partial(images.of_npz, detector=detector),
        "images to train on": images.of_image,
        "images to score": partial(images.of_image, detector=detector),
        "detector": detectors.make_case,
        "settings": settings.make_case,
        "command line": commands.make_case,
    }
