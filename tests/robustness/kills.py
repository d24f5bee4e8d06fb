"""`kill -9` of a whole pipeline, with all processes that it started, at random moments."""

import random
import re
from collections.abc import Iterator

from tests.robustness.checkout import REPRO, message
from tests.robustness.outcome import Bench, Outcome
from tests.robustness.report import Try
from tests.workspaces import wait_for_end

KILLS_PER_PIPELINE = 10  # on average
REPAIRED = re.compile(
    r"^hourglass: (.*(?:truncated|removed the locks|incomplete copies).*)$", re.MULTILINE
)


def kills(bench: Bench, tries: int, rng: random.Random) -> Iterator[Try]:
    """Yield the results of `tries` kills of one pipeline after another.

    A pipeline is started and killed after a random time until one start reaches its end; then its
    outcome judges all its kills. The message of a kill is the repair that the next start reported.
    """
    longest = 2 * bench.seconds / KILLS_PER_PIPELINE
    while tries:
        checkout = bench.fresh.copy("killed")
        stages: list[str] = []
        repairs: list[str] = []
        is_killed = True
        while is_killed:
            command = checkout.start(*REPRO)
            is_killed = len(stages) < tries and command.lives_after(rng.uniform(0, longest))
            if is_killed:
                stages.append(checkout.current_stage())
                checkout.cut_power()
            status, output = command.wait()
            repairs.append(" ".join(REPAIRED.findall(output)))
        wait_for_end(checkout.folder)
        losses = [f"it did not resume: {message(output)}"] if status else []
        losses = losses or Outcome.of(checkout).differences(bench.undisturbed)
        for stage, repair in zip(stages, repairs[1:], strict=True):
            yield Try(stage, not losses, repair, losses)
        tries -= len(stages)
