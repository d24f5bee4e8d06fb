"""Run the measurements: one process each, with alternating contestants."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib import metadata
from typing import Any

import pandas as pd
from common import ROOT
from tqdm import tqdm

from benchmarks.cases import Case, Contestant, Match

TIMEOUT_SECONDS = 900  # per measurement


def measure(plan: list[Match]) -> pd.DataFrame:
    """Return one row per measurement; `reason` explains a missing one."""
    rows = []
    with tqdm(list(turns(plan)), "measuring", dynamic_ncols=True) as bar:
        for number, case, contestant in bar:
            bar.set_postfix_str(f"{case.task} {case.network} {case.data}: {contestant.name}")
            about = {"round": number, "contestant": contestant.name, **asdict(case)}
            rows.append(about | run_process(case, contestant, with_quality=not number))
    return pd.DataFrame(rows)


def turns(plan: list[Match]) -> Iterator[tuple[int, Case, Contestant]]:
    """Yield the measurements in order; the first contestant changes from round to round."""
    for match in plan:
        for number in range(match.rounds):
            first = number % len(match.contestants)
            for contestant in (*match.contestants[first:], *match.contestants[:first]):
                if number < contestant.rounds:
                    yield number, match.case, contestant


def run_process(case: Case, contestant: Contestant, with_quality: bool = True) -> dict[str, Any]:
    """Return the measurements of a new process, or the reason for their absence.

    The quality is measured in the first round only, as it takes as long as a training.
    """
    if missing := [name for name in contestant.needs if not installed(name)]:
        return {"reason": f"{missing[0]} is not installed"}
    case = replace(case, batch_size=contestant.batch_size or case.batch_size)
    job = {
        "case": asdict(case),
        "function": contestant.function,
        "arguments": contestant.arguments,
        "with_quality": with_quality,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(job)],
            env={**environment(), **contestant.environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return {"reason": f"took longer than {TIMEOUT_SECONDS} s"}
    if done.returncode:
        tqdm.write(done.stderr)
        return {"reason": f"failed: {last_line(done.stderr)}"}
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured | {"reason": ""}


def installed(distribution: str) -> bool:
    """Return whether a distribution is installed, without importing it."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def environment() -> dict[str, str]:
    """Return the environment of a process that runs the code of this checkout."""
    paths = [str(ROOT / "scripts"), str(ROOT / "src")]
    own = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return own | {"PYTHONPATH": os.pathsep.join(paths)}


def last_line(text: str) -> str:
    """Return the last line of a process's messages, shortened to fit a table."""
    return (text.strip() or "without a message").splitlines()[-1][:120].replace("|", "/")
