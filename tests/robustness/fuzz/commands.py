"""Command lines with misplaced, missing and hostile words."""

import contextlib
import io
import random
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np

from hourglass.cli.main import main
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from tests.robustness.fuzz.case import Case
from tests.robustness.fuzz.detectors import make_detector

NAMES = (
    *("numbers", "pictures", "nothing", "", "..", "../..", "/etc/passwd", "a/b", "a b", "é", "-x"),
    *("con", "x" * 300, "linear", "references", "%s", "{}", "a\nb", "~", "*", "'", "$HOME", "."),
)
NUMBERS = ("-1", "0", "1e9", "nan", "x", "", "1.5", "9" * 400, "0.0", "[]", "null", "true")
FILES = ("table.csv", "picture.png", "nowhere.csv", ".", "/", "/dev/null", "x" * 300, "", "*")
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


def make_workspace() -> None:
    """Write two calibrated cells, a table and an image to the working folder."""
    from PIL import Image

    for data, images in (("numbers", False), ("pictures", True)):
        cell = Cell(data, "linear")
        make_detector(cell.output("calibrate-threshold"), images, cell.output("train"))
    Path("table.csv").write_text("a,b,c\n1,2,3\n4,5,6\n", encoding="utf-8")
    Image.fromarray(np.zeros((6, 5), np.uint8)).save("picture.png")


def make_case(rng: random.Random, folder: Path) -> Case:
    """Return a command line with some misplaced words."""
    command = rng.choice(list(OPTIONS))
    words = [rng.choice(NAMES[:2]), "linear"]
    words += [rng.choice(FILES[:2])] if command in WITH_FILE else []
    if rng.random() < 0.8:
        words[rng.randrange(len(words))] = rng.choice(NAMES + FILES)
    words = words[: rng.choice([1, len(words), len(words), len(words)])]
    options = OPTIONS[command]
    for name in rng.sample(list(options), min(len(options), rng.randint(0, 2))):
        words += [name, rng.choice(options[name])]
    words = [word for word in words if word or rng.random() < 0.5]
    right = True if command in ("score", "restore", "verify") else None
    return Case(f"{command} {words}"[:200], lambda: _run([command, *words]), right)


def _run(words: list[str]) -> bool:
    """Run a command here; return True, or raise the UserError that it printed."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            with patch.object(sys, "argv", ["hourglass", *words]):
                main()
        except SystemExit as end:
            if end.code in (0, None):
                return True
            if isinstance(end.code, str):
                raise UserError(end.code.removeprefix("hourglass: ")) from None
            last = errors.getvalue().strip().splitlines()[-1]  # the usage ends in the error
            raise UserError(f"usage: {last[:200].replace('. ', ' ')}.") from None
    return True
