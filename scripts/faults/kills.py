"""`kill -9` of a whole pipeline at random moments, and of all that it started."""

import random
import re
from collections import Counter
from collections.abc import Iterator

from faults.bench import Bench
from faults.checkout import REPRO, Checkout, sentence
from faults.outcome import Outcome
from faults.rows import Fault, Try

NAME = "`kill -9` of the pipeline and of all that it started, at a random moment of"
SHARE = 10  # a pipeline is killed about that often on its way
MENDED = re.compile(
    r"^hourglass: (.*(?:truncated|removed the locks|incomplete copies).*)$", re.MULTILINE
)


def kills(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault after each pipeline that was killed on its way and then came to its end.

    A pipeline is started, killed after a random time, started again, and so on, until one start
    comes to its end: then all its kills are judged by what is there. The next one begins from
    nothing, until there were so many kills.
    """
    fault, mended = Fault(NAME), Counter[str]()
    pipelines = 0
    while len(fault.tries) < tries:
        checkout = bench.fresh.copy("killed")
        most = tries - len(fault.tries)
        hit, said, failed = _killed_on_the_way(checkout, 2 * bench.seconds / SHARE, most, rng)
        lost = [failed] if failed else Outcome.of(checkout).differences(bench.undisturbed)
        fault.tries += [Try(stage, not lost, "", lost) for stage in hit]
        mended.update(said)
        pipelines += 1
        fault.note = f"{pipelines} pipelines, begun {len(fault.tries) + pipelines} times. "
        fault.note += " ".join(f"{n} times: {each}" for each, n in sorted(mended.items()))
        yield fault


def _killed_on_the_way(
    checkout: Checkout, longest: float, most: int, rng: random.Random
) -> tuple[list[str], list[str], str]:
    """Kill a pipeline until a start comes to its end.

    Returns which stages the kills hit, what the starts after them said they had mended, and why
    the last one failed, if it did.
    """
    hit: list[str] = []
    said: list[str] = []
    while True:
        command = checkout.start(*REPRO)
        killed = len(hit) < most and command.lives_after(rng.uniform(0, longest))
        if killed:
            hit.append(checkout.at_work())
            checkout.cut_power()
        status, output = command.wait()
        said += MENDED.findall(output)
        if not killed:
            checkout.wait_for_end()
            return hit, said, f"it did not go on: {sentence(output)}" if status else ""
