"""Time `make repro` of two commits in turns, without a cache and with nothing to do.

    python scripts/pipeline.py                  # 20 minutes; writes docs/benchmarks/pipeline.md
    python scripts/pipeline.py --against 2dffed4    # another commit for the ratio

Each measurement runs in a new clone of this repository with the packages of this environment. For
comparison, `dvc repro` runs the same grid one stage at a time, and bare loops over tensors in
memory run the same trainings.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from time import perf_counter

import numpy as np
from benchmarks.cases import PLAIN
from benchmarks.ratios import markdown, number, spread
from common import ROOT, argument_parser, seconds, write_page
from tqdm import tqdm

PAGE = ROOT / "docs/benchmarks/pipeline.md"
BASE = "dfdd46f"  # before the packages, folders and jobs of this version
IDLE_RUNS = 9
DVC_REPRO = ("dvc", "repro")


def main() -> None:
    """Measure both commits, and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--against", default=BASE)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    commits = (arguments.against, "HEAD")
    whole, idle = defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory() as temporary:
        for turn in tqdm(range(arguments.rounds), "rounds"):
            for commit in commits:
                folder = Path(temporary, f"{commit}-{turn}")
                command = _clone(folder, commit)
                whole[commit].append(seconds(_run, folder, *command))
        for _ in range(IDLE_RUNS):
            for commit in commits:
                folder = Path(temporary, f"{commit}-{arguments.rounds - 1}")
                idle[commit].append(seconds(_run_again, folder))
        folder = Path(temporary, "stages")
        _clone(folder, "HEAD")
        stages = _seconds_per_stage(folder)
        loops = sum(_loops(folder).values())
    write_page(PAGE, _page(arguments.against, whole, idle, stages, loops))


def _clone(folder: Path, commit: str) -> tuple[str, ...]:
    """Clone a commit, and return the command that its `make repro` runs."""
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    subprocess.run(["git", "-c", "advice.detachedHead=false", "checkout", "-q", commit],
                   cwd=folder, check=True)  # fmt: skip
    (folder / "dvc.lock").unlink(missing_ok=True)  # DVC's cache might have its outputs
    jobs = ("--jobs", "2") if "--jobs" in (folder / "Makefile").read_text("utf-8") else ()
    return ("hourglass", "repro", *jobs)


def _run(folder: Path, *words: str) -> str:
    """Run a Python module in a clone with its own code; return its output."""
    return subprocess.run([sys.executable, "-m", *words], cwd=folder, env=_environment(folder),
                          stdout=subprocess.PIPE, text=True, check=True).stdout  # fmt: skip


def _run_again(folder: Path) -> None:
    """Run `dvc repro` with nothing to do; raise a RuntimeError if a stage runs."""
    if "Running stage" in _run(folder, *DVC_REPRO):
        raise RuntimeError("a stage ran again although nothing had changed")


def _seconds_per_stage(folder: Path) -> dict[str, list[float]]:
    """Run `dvc repro`; return the seconds per stage of its cells, DVC's own work included."""
    durations, starts = defaultdict(list), [("", perf_counter())]
    process = subprocess.Popen([sys.executable, "-m", *DVC_REPRO], cwd=folder, text=True,
                               env=_environment(folder), stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    for line in tqdm(process.stdout, "dvc repro", unit=" lines"):
        if line.startswith("Running stage '"):
            starts.append((line.split("'")[1].partition("@")[0], perf_counter()))
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, process.args)
    ends = [start for _, start in starts[1:]] + [perf_counter()]
    for (stage, start), end in zip(starts, ends, strict=True):
        durations[stage].append(end - start)
    return durations


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
    base: str,
    whole: dict[str, list[float]],
    idle: dict[str, list[float]],
    stages: dict[str, list[float]],
    loops: float,
) -> str:
    table = []
    for what, times in (("`make repro`, not cached", whole), ("`dvc repro`, nothing to do", idle)):
        new, old = np.array(times["HEAD"]), np.array(times[base])
        row = {"this version": spread(new), base: spread(old), "ratio": spread(new / old)}
        table.append({"what": what} | row)
    rows = [
        {
            "stage": name or "DVC, before the first stage",
            "cells": str(len(times)) if name else "",
            "seconds": number(sum(times)),
            "longest": number(max(times)),
        }
        for name, times in stages.items()
    ]
    serial = sum(map(sum, stages.values()))
    return f"""# Duration of the pipeline

Made by `python scripts/pipeline.py` on {os.cpu_count()} cores, in seconds (median and range): the
default grid in fresh clones of this version and of the commit {base}, alternately.

{markdown(table)}
`make repro` runs two cells at a time. `dvc repro` runs one stage at a time and takes
{number(serial)} s; the same trainings as bare loops take {number(loops)} s. A bare loop has scaled
samples in memory, the same loss, batches and epochs, and a validation error per epoch; it saves,
records and evaluates nothing. The stages of `dvc repro`:

{markdown(rows)}"""


if __name__ == "__main__":
    main()
