"""What a stage costs beside its work, and what it imports for that."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from tqdm import tqdm
from workspace import ROOT, enter

from benchmarks.running import environment
from hourglass.core.paths import PARAMS, Cell

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
# What the stages that only use a network must not import (docs/decisions.md), and those stages.
TRAINERS = ("pytorch_lightning", "lightning_fabric", "torchvision")
LIGHT = ("calibrate-threshold", "evaluate", "compare")
EPOCHS = 5
TRACE = re.compile(r"import time: +(\d+) \| +\d+ \| ( *)(\S+)")


def workspace(folder: Path) -> None:
    """Enter a folder in which the stages run on one small cell, for a few epochs."""
    enter(folder)
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    params |= {"data": [CELL.data], "models": [CELL.model]}
    PARAMS.write_text(yaml.safe_dump(params), encoding="utf-8")
    path = Path(f"configs/data/{CELL.data}.yaml")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["training"] |= {"max_epochs": EPOCHS, "patience": EPOCHS}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")


def costs(rounds: int) -> pd.DataFrame:
    """Return what each stage and `import torch` take in each round, in seconds, less its work.

    Only `train` and `evaluate` say how long they worked; all of the others counts as fixed.
    """
    rows = []
    # The first of several rounds compiles bytecode and fills the disk's cache.
    for number in tqdm(range(-1, rounds), "fixed costs", dynamic_ncols=True):
        row = {"round": number, TORCH: _seconds(["-c", TORCH])}
        for name, words in STAGES.items():
            row[name] = _seconds([str(ROOT / "src/hourglass"), *words]) - _work(name)
        rows.append(row)
    return pd.DataFrame(rows[1:] or rows)


def imports() -> pd.DataFrame:
    """Return the seconds that each stage spends in importing each package itself.

    By `python -X importtime`, which makes imports slower than they are.
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
    """Return a row a top-level package: its modules' own seconds, and who imported it first.

    Python's modules are one package. In a trace a module follows those that it imports, which are
    indented further; what nothing else imports, Hourglass does.
    """
    rows = []
    above: dict[int, str] = {}  # from depth to the package that comes last there
    for seconds, depth, module in reversed(list(_lines(trace))):
        package = module.partition(".")[0]
        package = "Python" if package in sys.stdlib_module_names else package
        importer = above.get(depth - 1, "hourglass")
        above[depth] = package
        rows.append({"package": package, "importer": importer, "seconds": seconds})
    # Backwards, the last line of a package that another one imports is the first in time.
    table = pd.DataFrame(rows)
    outside = table[table.package != table.importer].groupby("package").importer.last()
    own = table.groupby("package").seconds.sum()
    return pd.DataFrame({"seconds": own, "importer": outside}).fillna("").reset_index()


def _lines(trace: str) -> Iterator[tuple[float, int, str]]:
    """Yield own seconds, depth and name of each module of a trace."""
    for line in trace.splitlines():
        if found := TRACE.match(line):
            yield int(found[1]) / 1e6, len(found[2]) // 2, found[3]


def heavy(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return which trainers' packages each of the stages imported that must import none."""
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
    """Return the seconds that a stage itself counts as its work."""
    if stage == "train":
        return float(_read("training.json")["seconds"])
    if stage == "evaluate":
        return float(_read("timing.json")["evaluate"]["seconds"])
    return 0.0


def _read(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CELL / file).read_text(encoding="utf-8"))
    return found
