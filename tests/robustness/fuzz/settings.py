"""YAML settings files with random and deliberate changes."""

import random
from pathlib import Path

from hourglass.core.settings import data_config, model_config, params
from hourglass.core.yaml_config import build
from hourglass.data.base import DataSet
from hourglass.detection.calibrators.from_settings import comparison_calibrators, make_calibrator
from hourglass.detection.scorers.from_settings import make_scorer
from tests.robustness.fuzz.case import Case, damage

FILES = (
    *("params.yaml", "configs/calibrators.yaml", "configs/data/digits.yaml"),
    "configs/model/denoising.yaml",
)
SNIPPETS = (
    *("[" * 3000, "{" * 3000, "a: &a [*a]", "? [a]: b", "- 1", "!!python/object:os.system x"),
    *("day: 2024-13-45", "seed: 1e999", "seed: .nan", "seed: 0x", "seed: [", "\t- x", "%YAML 9.9"),
    *("data: 7", "models: {a: b}", "seed: true", "score: x", "calibration: [1]", "study: 1"),
    *("class_path: os.system", "init_args: 5", "init_args: {path: {a: 1}}", "class_path: ''"),
    *("a: " + "9" * 5000, "\0", "\ufeff", "---\n---", "<<: *x", "a: *b", "1: 2", "~: 3", "a: b: c"),
)  # fmt: skip


def make_case(rng: random.Random, folder: Path) -> Case:
    """Return settings with one malformed or changed file in the working folder."""
    path = Path(rng.choice(FILES))
    original = content = path.read_bytes()
    what = rng.choice(["bytes", "line", "lines", "nothing"])
    lines = content.decode().splitlines()
    if what == "bytes":
        content = damage(content, rng)
    elif what == "nothing":
        content = rng.choice([b"", b"\xff\xfe", b"null", b"[]", b"7", b"text"])
    else:
        place = rng.randrange(len(lines) + 1)
        lines[place : place + (what == "line")] = [rng.choice(SNIPPETS)]
        content = "\n".join(lines).encode()

    def read() -> bool:
        path.write_bytes(content)
        try:
            _read()
        finally:
            path.write_bytes(original)
        return True

    return Case(f"{path}, {what}", read, True)


def _read() -> None:
    """Read every file as the stages do."""
    grid, digits = params(), data_config("digits")
    make_calibrator(grid.calibration)
    make_scorer(grid.score)
    comparison_calibrators()
    section = {key: digits[key] for key in digits if key in ("class_path", "init_args")}
    build(section, DataSet, "configs/data/digits.yaml")
    model_config("denoising")
