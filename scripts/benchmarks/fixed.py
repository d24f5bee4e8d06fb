"""Fixed costs of the stages: process start, imports, and the wait for the record in MLflow."""

import json
import subprocess
import sys
import time
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
EPOCHS = 5


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
