"""Time the pipeline of a commit: `dvc repro` with nothing cached, and again with nothing to do.

    python scripts/pipeline.py                     # ten minutes; writes docs/pipeline.md
    python scripts/pipeline.py --commit 2dffed4    # an older one, printed only

Clones this repository and runs it there, with the packages of this environment. Beside the whole
stand the trainings alone, as bare loops over tensors in memory, of as many epochs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from benchmarks.cases import PLAIN
from benchmarks.markdown import markdown
from benchmarks.ratios import number, spread
from tqdm import tqdm
from workspace import ROOT

from hourglass.core.atomic import write_text

PAGE = ROOT / "docs/pipeline.md"
AGAIN = 9  # times that `dvc repro` has nothing to do
DVC = [sys.executable, "-m", "dvc"]


def main() -> None:
    """Measure a commit; write the page if it is the one that is checked out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", default="HEAD")
    parser.add_argument("--keep", type=Path, help="a new folder for the clone, which stays there")
    arguments = parser.parse_args()
    commit = arguments.commit
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary, "hourglass")).absolute()
        _clone(folder, commit)
        stages = _repro(folder)
        again = [_seconds(folder) for _ in range(AGAIN)]
        loops = _loops(folder) if commit == "HEAD" else {}
    page = _page(commit, stages, again, loops)
    print(page)
    if commit == "HEAD":
        write_text(PAGE, page)


def _clone(folder: Path, commit: str) -> None:
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    subprocess.run(["git", "-c", "advice.detachedHead=false", "checkout", "-q", commit],
                   cwd=folder, check=True)  # fmt: skip
    (folder / "dvc.lock").unlink()  # whose outputs DVC's cache might have


def _repro(folder: Path) -> dict[str, list[float]]:
    """Run everything; return the seconds of each stage's cells, DVC's own work included.

    Raises a CalledProcessError where the pipeline fails.
    """
    found, began = defaultdict(list), [("", time.perf_counter())]
    process = subprocess.Popen(
        [*DVC, "repro"], cwd=folder, env=_environment(folder), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with tqdm(desc="dvc repro", unit=" stages") as progress:
        for line in process.stdout:
            if line.startswith("Running stage '"):
                began.append((line.split("'")[1].partition("@")[0], time.perf_counter()))
                progress.update()
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, process.args)
    ends = [start for _, start in began[1:]] + [time.perf_counter()]
    for (stage, start), end in zip(began, ends, strict=True):
        found[stage].append(end - start)
    return found


def _seconds(folder: Path) -> float:
    """Return what `dvc repro` takes where nothing has changed.

    Raises a RuntimeError where a stage runs again, a CalledProcessError where one fails.
    """
    start = time.perf_counter()
    done = subprocess.run([*DVC, "repro"], cwd=folder, env=_environment(folder),
                          capture_output=True, text=True, check=True)  # fmt: skip
    taken = time.perf_counter() - start
    if "Running stage" in done.stdout:
        raise RuntimeError("a stage ran again although nothing had changed")
    return taken


def _loops(folder: Path) -> dict[str, float]:
    """Return the seconds of each cell's bare loop."""
    environment = _environment(folder) | PLAIN
    environment["PYTHONPATH"] += os.pathsep + str(ROOT / "scripts")
    done = subprocess.run([sys.executable, "-m", "pipelines.loops"], cwd=folder, env=environment,
                          stdout=subprocess.PIPE, text=True, check=True)  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of commands that run the clone's code, and record in the clone."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    programs = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", "")])
    return own | {"PYTHONPATH": str(folder / "src"), "PATH": programs}


def _page(
    commit: str, stages: dict[str, list[float]], again: list[float], loops: dict[str, float]
) -> str:
    whole = sum(map(sum, stages.values()))
    facts = {
        "`dvc repro`, nothing cached, seconds": number(whole),
        "the same with nothing to do, median (range)": spread(np.array(again)),
    }
    if loops:
        facts["its trainings as bare loops, seconds"] = number(sum(loops.values()))
        facts["all of it, in times of those"] = number(whole / sum(loops.values()))
    rows = [
        {
            "stage": name or "before the first, by DVC",
            "cells": str(len(each)) if name else "",
            "seconds": number(sum(each)),
            "the longest": number(max(each)),
        }
        for name, each in stages.items()
    ]
    return f"""# The pipeline's time

Made by `python scripts/pipeline.py{f" --commit {commit}" * (commit != "HEAD")}` on
{os.cpu_count()} cores: the default grid in a fresh clone, {len(again)} times more with nothing to
do.

{markdown([{"what": key, "measured": each} for key, each in facts.items()])}
A bare loop takes scaled samples in memory, the same loss, batches and epochs, and the error of the
validation samples after each; it keeps, records and judges nothing.

{markdown(rows)}"""


if __name__ == "__main__":
    main()
