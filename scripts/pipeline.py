"""Time `dvc repro` of a commit without a cache, and again with nothing to do.

    python scripts/pipeline.py                     # ten minutes; writes docs/pipeline.md
    python scripts/pipeline.py --commit 2dffed4    # an older commit, printed only

Runs in a clone of this repository with the packages of this environment. For comparison, the same
trainings run as bare loops over tensors in memory.
"""

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
from benchmarks.ratios import markdown, number, spread
from common import ROOT, argument_parser, seconds, write_page
from tqdm import tqdm

PAGE = ROOT / "docs/pipeline.md"
IDLE_RUNS = 9
DVC = [sys.executable, "-m", "dvc"]


def main() -> None:
    """Measure a commit; write the page if it is the current one."""
    parser = argument_parser(__doc__)
    parser.add_argument("--commit", default="HEAD")
    parser.add_argument("--keep", type=Path, help="a new folder for the clone")
    arguments = parser.parse_args()
    commit = arguments.commit
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary, "hourglass")).absolute()
        _clone(folder, commit)
        stages = _repro(folder)
        again = [seconds(_repro_again, folder) for _ in range(IDLE_RUNS)]
        loops = _loops(folder) if commit == "HEAD" else {}
    page = _page(commit, stages, again, loops)
    if commit == "HEAD":
        write_page(PAGE, page)
    else:
        print(page)


def _clone(folder: Path, commit: str) -> None:
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    subprocess.run(["git", "-c", "advice.detachedHead=false", "checkout", "-q", commit],
                   cwd=folder, check=True)  # fmt: skip
    (folder / "dvc.lock").unlink(missing_ok=True)  # DVC's cache might have its outputs


def _repro(folder: Path) -> dict[str, list[float]]:
    """Run everything; return the seconds per stage of its cells, DVC's own work included.

    Raises a CalledProcessError if the pipeline fails.
    """
    durations, starts = defaultdict(list), [("", time.perf_counter())]
    process = subprocess.Popen(
        [*DVC, "repro"], cwd=folder, env=_environment(folder), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with tqdm(desc="dvc repro", unit=" stages") as progress:
        for line in process.stdout:
            if line.startswith("Running stage '"):
                starts.append((line.split("'")[1].partition("@")[0], time.perf_counter()))
                progress.update()
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, process.args)
    ends = [start for _, start in starts[1:]] + [time.perf_counter()]
    for (stage, start), end in zip(starts, ends, strict=True):
        durations[stage].append(end - start)
    return durations


def _repro_again(folder: Path) -> None:
    """Run `dvc repro` with nothing to do.

    Raises a RuntimeError if a stage runs again, a CalledProcessError if one fails.
    """
    done = subprocess.run([*DVC, "repro"], cwd=folder, env=_environment(folder),
                          capture_output=True, text=True, check=True)  # fmt: skip
    if "Running stage" in done.stdout:
        raise RuntimeError("a stage ran again although nothing had changed")


def _loops(folder: Path) -> dict[str, float]:
    """Return the seconds of the bare loop of each cell."""
    environment = _environment(folder) | PLAIN
    environment["PYTHONPATH"] += os.pathsep + str(ROOT / "scripts")
    done = subprocess.run([sys.executable, "-m", "bare_loops"], cwd=folder, env=environment,
                          stdout=subprocess.PIPE, text=True, check=True)  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of commands that run the code of the clone and record there."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    programs = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", "")])
    return own | {"PYTHONPATH": str(folder / "src"), "PATH": programs}


def _page(
    commit: str, stages: dict[str, list[float]], again: list[float], loops: dict[str, float]
) -> str:
    whole = sum(map(sum, stages.values()))
    facts = {
        "`dvc repro`, nothing cached, seconds": number(whole),
        "again, with nothing to do, median (range)": spread(np.array(again)),
    }
    if loops:
        facts["the trainings as bare loops, seconds"] = number(sum(loops.values()))
        facts["ratio of the two"] = number(whole / sum(loops.values()))
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
{os.cpu_count()} cores: the default grid in a fresh clone, then {len(again)} runs with nothing to
do.

{markdown([{"what": key, "measured": each} for key, each in facts.items()])}
A bare loop has scaled samples in memory, the same loss, batches and epochs, and a validation error
per epoch; it saves, records and evaluates nothing.

{markdown(rows)}"""


if __name__ == "__main__":
    main()
