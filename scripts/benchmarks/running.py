"""Take the measurements: a process each, contestants in turn, round after round."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib import metadata
from typing import Any

import pandas as pd
from tqdm import tqdm
from workspace import ROOT

from benchmarks.cases import Case, Contestant, Match

TIMEOUT = 900  # seconds that one measurement may take


def measure(plan: list[Match]) -> pd.DataFrame:
    """Return a row a measurement; one that could not be taken says why in `reason`."""
    rows = []
    with tqdm(list(turns(plan)), "measuring", dynamic_ncols=True) as bar:
        for number, case, contestant in bar:
            bar.set_postfix_str(f"{case.task} {case.network} {case.data}: {contestant.name}")
            about = {"round": number, "contestant": contestant.name, **asdict(case)}
            rows.append(about | taken(case, contestant, judged=not number))
    return pd.DataFrame(rows)


def turns(plan: list[Match]) -> Iterator[tuple[int, Case, Contestant]]:
    """Yield what to measure, in order; another contestant begins each round of a case."""
    for match in plan:
        for number in range(match.rounds):
            first = number % len(match.contestants)
            for contestant in (*match.contestants[first:], *match.contestants[:first]):
                if number < contestant.rounds:
                    yield number, match.case, contestant


def taken(case: Case, contestant: Contestant, judged: bool = True) -> dict[str, Any]:
    """Return what a process of its own measured, or the reason why there is nothing.

    What was learnt is `judged` in the first round only, for it takes as long as many a training.
    """
    if missing := [name for name in contestant.needs if not installed(name)]:
        return {"reason": f"{missing[0]} is not installed"}
    case = replace(case, batch_size=contestant.batch_size or case.batch_size)
    job = {
        "case": asdict(case),
        "function": contestant.function,
        "arguments": contestant.arguments,
        "judged": judged,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(job)],
            env={**environment(), **contestant.environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return {"reason": f"took longer than {TIMEOUT} s"}
    if done.returncode:
        tqdm.write(done.stderr)
        return {"reason": f"failed: {last_line(done.stderr)}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"reason": ""}


def installed(distribution: str) -> bool:
    """Return whether a distribution is there, without importing it."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def environment() -> dict[str, str]:
    """Return the environment of a process that runs this checkout's code, whatever is installed."""
    paths = [str(ROOT / "scripts"), str(ROOT / "src")]
    own = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return own | {"PYTHONPATH": os.pathsep.join(paths)}


def last_line(text: str) -> str:
    """Return the last line of a process' messages, cut to what fits a table."""
    return (text.strip() or "without a message").splitlines()[-1][:120].replace("|", "/")
