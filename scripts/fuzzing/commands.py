"""Command lines of the verbs that take what users type and files that users have."""

import contextlib
import io
import random
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from fuzzing.cases import Case
from fuzzing.detectors import detector
from hourglass.cli.main import main
from hourglass.core.checksums import file_checksums
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.networks.weights import FILES as NETWORK
from hourglass.networks.weights import SETTINGS, write

NAMES = (
    *("numbers", "pictures", "nothing", "", "..", "../..", "/etc/passwd", "a/b", "a b", "é", "-x"),
    *("con", "x" * 300, "linear", "references", "%s", "{}", "a\nb", "~", "*", "'", "$HOME", "."),
)
NUMBERS = ("-1", "0", "1e9", "nan", "x", "", "1.5", "9" * 400, "0.0", "[]", "null", "true")
FILES = (
    "table.csv",
    "picture.png",
    "nowhere.csv",
    ".",
    "/",
    "/dev/null",
    "x" * 300 + ".csv",
    "",
    "*",
)
OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "score": {"--top": NUMBERS, "--false_discovery_rate": NUMBERS, "--missing": NAMES,
              "--out": FILES, "--id": NAMES, "--heat_maps": NUMBERS, "--resize": ("",)},
    "search": {"--top": NUMBERS, "--out": FILES, "--resize": ("",)},
    "restore": {"--out": FILES, "--tile": ("",), "--resize": ("",)},
    "label-errors": {"--top": NUMBERS, "--folds": NUMBERS},
    "classify": {"--labels": NUMBERS, "--classifiers": NAMES, "--epochs": NUMBERS},
    "verify": {"--cache": ("",), "--nothing": ("",)},
}  # fmt: skip
WITH_FILE = ("score", "search", "restore")


def workspace() -> None:
    """Make the working folder one with two calibrated detectors, a table and an image."""
    from PIL import Image

    for name, images in (("numbers", False), ("pictures", True)):
        cell = Cell(name, "linear")
        train, calibrate = cell.output("train"), cell.output("calibrate-threshold")
        found = detector(calibrate, images)
        train.mkdir(parents=True, exist_ok=True)
        (train / SETTINGS).write_text("{init_args: {}, seed: 0}\n", encoding="utf-8")
        write(found.scoring.network, train, SETTINGS)
        replace(found, network=file_checksums(train, NETWORK)).write(calibrate)
    Path("table.csv").write_text("a,b,c\n1,2,3\n4,5,6\n", encoding="utf-8")
    Image.fromarray(np.zeros((6, 5), np.uint8)).save("picture.png")


def case(rng: random.Random, folder: Path) -> Case:
    """Return a command line of which some words are out of place."""
    verb = rng.choice(list(OPTIONS))
    words = [rng.choice(NAMES[:2]), "linear"]
    words += [rng.choice(FILES[:2])] if verb in WITH_FILE else []
    if rng.random() < 0.8:
        words[rng.randrange(len(words))] = rng.choice(NAMES + FILES)
    words = words[: rng.choice([1, len(words), len(words), len(words)])]
    options = OPTIONS[verb]
    for name in rng.sample(list(options), min(len(options), rng.randint(0, 2))):
        words += [name, rng.choice(options[name])]
    words = [word for word in words if word or rng.random() < 0.5]
    right = True if verb in ("score", "restore", "verify") else None
    return Case(f"{verb} {words}"[:200], lambda: _run([verb, *words]), right)


def _run(words: list[str]) -> bool:
    """Run a verb here; return True, or raise the UserError that it printed."""
    printed, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        try:
            with patch.object(sys, "argv", ["hourglass", *words]):
                main()
        except SystemExit as end:
            if end.code in (0, None):
                return True
            if isinstance(end.code, str):
                raise UserError(end.code.removeprefix("hourglass: ")) from None
            last = said.getvalue().strip().splitlines()[-1]  # of a usage that ends in the error
            raise UserError(f"usage: {last[:200].replace('. ', ' ')}.") from None
    return True
