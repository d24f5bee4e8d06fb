"""Fixed costs of the stages, and the packages that they import."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from common import ROOT, enter, limit_epochs, update_yaml
from tqdm import tqdm

from benchmarks.running import environment
from hourglass.core.paths import Cell

CELL = Cell("digits", "undercomplete")
TORCH = "import torch"
STAGES = {
    "prepare": ["prepare", CELL.data],
    "baselines": ["baselines", CELL.data],
    "train": ["train", CELL.data, CELL.model],
    "calibrate-threshold": ["calibrate-threshold", CELL.data, CELL.model],
    "evaluate": ["evaluate", CELL.data, CELL.model],
    "compare": ["compare"],
}
# Packages that the stages in LIGHT must not import (docs/decisions.md).
TRAINERS = ("pytorch_lightning", "lightning_fabric", "torchvision")
LIGHT = ("calibrate-threshold", "evaluate", "compare")
EPOCHS = 5
TRACE = re.compile(r"import time: +(\d+) \| +\d+ \| ( *)(\S+)")


def workspace(folder: Path) -> None:
    """Enter a workspace in which the stages run on one small cell for a few epochs."""
    enter(folder)
    update_yaml("params.yaml", {"data": [CELL.data], "models": [CELL.model]})
    limit_epochs(CELL.data, EPOCHS)


def costs(rounds: int) -> pd.DataFrame:
    """Return the fixed seconds of each stage and `import torch` per round: the total less the work.

    Only `train` and `evaluate` report their work; all other time counts as fixed.
    """
    rows = []
    # An additional first round compiles bytecode and fills the disk cache.
    for number in tqdm(range(-1, rounds), "fixed costs", dynamic_ncols=True):
        row = {"round": number, TORCH: _seconds(["-c", TORCH])}
        for name, words in STAGES.items():
            row[name] = _seconds([str(ROOT / "src/hourglass"), *words]) - _work(name)
        rows.append(row)
    return pd.DataFrame(rows[1:] or rows)


def imports() -> pd.DataFrame:
    """Return the seconds that each stage spends on importing each package.

    Measured by `python -X importtime`, which slows imports down.
    """
    parts = []
    for name, words in STAGES.items():
        command = [sys.executable, "-X", "importtime", str(ROOT / "src/hourglass"), *words]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
        parts.append(by_package(done.stderr).assign(stage=name))
    return pd.concat(parts, ignore_index=True)


def by_package(trace: str) -> pd.DataFrame:
    """Return one row per top-level package: the seconds of its modules, and its first importer.

    The standard library counts as one package. In a trace, a module follows the modules that it
    imports, which are indented further. Modules without an importer are imported by Hourglass.
    """
    rows = []
    above: dict[int, str] = {}  # depth -> the latest package at that depth
    for seconds, depth, module in reversed(list(_lines(trace))):
        package = module.partition(".")[0]
        package = "Python" if package in sys.stdlib_module_names else package
        importer = above.get(depth - 1, "hourglass")
        above[depth] = package
        rows.append({"package": package, "importer": importer, "seconds": seconds})
    # In reverse order, the last line of an imported package is the first in time.
    table = pd.DataFrame(rows)
    outside = table[table.package != table.importer].groupby("package").importer.last()
    own = table.groupby("package").seconds.sum()
    return pd.DataFrame({"seconds": own, "importer": outside}).fillna("").reset_index()


def _lines(trace: str) -> Iterator[tuple[float, int, str]]:
    """Yield the own seconds, depth and name of each module in a trace."""
    for line in trace.splitlines():
        if match := TRACE.match(line):
            yield int(match[1]) / 1e6, len(match[2]) // 2, match[3]


def heavy(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return the packages in TRAINERS that each stage in LIGHT imported."""
    chosen = table[table.package.isin(TRAINERS)]
    return {stage: sorted(chosen[chosen.stage == stage].package) for stage in LIGHT}


def _seconds(words: list[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], env=environment(), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def _work(stage: str) -> float:
    """Return the seconds of work that a stage reports."""
    if stage not in ("train", "evaluate"):
        return 0.0
    timing = json.loads((CELL.tracking / f"{stage}.json").read_text(encoding="utf-8"))
    return float(timing["seconds"])
