"""`kill -9` of a whole pipeline, with all processes that it started, at random moments."""

import random
import re
from collections import Counter
from collections.abc import Iterator

from tests.robustness.checkout import REPRO, Checkout, message
from tests.robustness.outcome import Bench, Outcome
from tests.robustness.report import Fault, Try

NAME = "`kill -9` of the pipeline with all its processes, at a random moment of"
KILLS_PER_PIPELINE = 10  # on average
REPAIRED = re.compile(
    r"^hourglass: (.*(?:truncated|removed the locks|incomplete copies).*)$", re.MULTILINE
)


def kills(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault after each pipeline that was killed several times and then ended.

    A pipeline is started and killed after a random time until one start reaches its end; then its
    outcome judges all its kills. Pipelines follow each other until there were `tries` kills.
    """
    fault, repaired = Fault(NAME), Counter[str]()
    pipelines = 0
    while len(fault.tries) < tries:
        checkout = bench.fresh.copy("killed")
        remaining = tries - len(fault.tries)
        longest = 2 * bench.seconds / KILLS_PER_PIPELINE
        stages, repairs, error = _kill_until_it_ends(checkout, longest, remaining, rng)
        lost = [error] if error else Outcome.of(checkout).differences(bench.undisturbed)
        fault.tries += [Try(stage, not lost, "", lost) for stage in stages]
        repaired.update(repairs)
        pipelines += 1
        fault.note = f"{pipelines} pipelines, started {len(fault.tries) + pipelines} times. "
        fault.note += " ".join(f"{n} times: {each}" for each, n in sorted(repaired.items()))
        yield fault


def _kill_until_it_ends(
    checkout: Checkout, longest: float, most: int, rng: random.Random
) -> tuple[list[str], list[str], str]:
    """Start and kill a pipeline until a start reaches its end, with at most `most` kills.

    Returns the stages that the kills hit, the repairs that later starts reported, and the error of
    the last start, "" if it succeeded.
    """
    stages: list[str] = []
    repairs: list[str] = []
    while True:
        command = checkout.start(*REPRO)
        killed = len(stages) < most and command.lives_after(rng.uniform(0, longest))
        if killed:
            stages.append(checkout.current_stage())
            checkout.cut_power()
        status, output = command.wait()
        repairs += REPAIRED.findall(output)
        if not killed:
            checkout.wait_for_end()
            return stages, repairs, f"it did not resume: {message(output)}" if status else ""
