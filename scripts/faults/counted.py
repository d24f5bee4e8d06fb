"""Faults that scripts of their own count: flipped bytes, malformed input, workers of a study.

Each of these scripts says more by itself; here are its counts, in the rows of the one page.
"""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest import mock

from faults.bench import Bench
from faults.rows import Fault, Try

TRIALS = 10  # of the study, for each kill: it must not be complete before the last one
# What a script counts that is lost, of those that faults.workers counts.
LOST = ("doubled", "lost", "open", "recorded twice", "not recorded", "recorded though killed")


def flips(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault once: a bit flipped in files of a workspace, and who noticed."""
    from flips import rows  # which imports torch

    fault = Fault("a flipped bit in", note="`python scripts/flips.py` says who notices what.")
    checkout = bench.whole.copy("flipped")
    with _variables(checkout.environment()):
        for row in rows(checkout.folder, tries, rng.randrange(1 << 30)):
            where = f"{row['artefact']} ({row['fault']})"
            noticed = Try(where, False, "named, with the way to mend it")
            silent = Try(where, False, "", ["a flipped bit was accepted."])
            fault.tries += _times(noticed, row["tries"] - row["silent"])
            fault.tries += _times(silent, row["silent"])
    yield fault


def fuzz(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault once: malformed files and command lines on every reader."""
    from fuzz import rows  # which imports torch

    fault = Fault("malformed", note="`identical`: read as a reference reader reads it.")
    for row in rows(tries, rng.randrange(1 << 30)):
        refused = Try(row["kind"], False, "refused")
        fault.tries += _times(refused, row["refused"])
        fault.tries += _times(Try(row["kind"], True), row["right"])
        for end in ("tracebacks", "wrong"):
            fault.tries += _times(Try(row["kind"], False, "", [f"{end}."]), row[end])
    yield fault


def workers(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault once: workers of a study on PostgreSQL killed, one every ten seconds."""
    from faults.workers import main  # which starts servers

    found = main(kills=tries, trials=TRIALS * tries)
    lost = [f"{name}: {found[name]}." for name in LOST if found[name]]
    if found["counted"] != found["asked"]:
        lost.append(f"{found['counted']} trials, where {found['asked']} were asked for.")
    told = ", ".join(f"{name} {each}" for name, each in found.items())
    fault = Fault("`kill -9`, one every 10 s, of", note=f"Counted: {told}.")
    fault.tries += _times(Try("four workers of a study on PostgreSQL", not lost, "", lost), tries)
    yield fault


def _times(one: Try, number: int) -> Iterable[Try]:
    return [one] * int(number)


@contextmanager
def _variables(given: dict[str, str]) -> Iterator[None]:
    with mock.patch.dict("os.environ", given, clear=True):
        yield
