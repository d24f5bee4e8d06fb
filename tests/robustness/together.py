"""Commands that several people run at the same time on one checkout."""

import random
import sys
import time
from collections.abc import Iterator, Sequence

from tests.robustness.checkout import HOURGLASS, REPRO, Checkout, Command, message
from tests.robustness.outcome import Bench, Outcome
from tests.robustness.report import Fault, Try

NAME = "at the same time in one checkout:"
DVC = (sys.executable, "-m", "dvc", "repro")
CELL = ("digits", "denoising")
SCORES = "new.csv"
SCORE = (*HOURGLASS, "score", *CELL, "digits.npz", "--out", SCORES, "--heat_maps", "0")
TUNE = (*HOURGLASS, "tune", *CELL, "--trials", "3")
TRAIN = (*HOURGLASS, "train", *CELL)
CASES: dict[str, Sequence[Sequence[str]]] = {
    "two `make repro`, `tune` and `score`": (REPRO, REPRO, TUNE),
    "two `dvc repro` and `score`": (DVC, DVC),
    "two `train` of one cell, and `score`": (TRAIN, TRAIN),
}


def together(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault after each try: commands that start at random moments beside `score`.

    A command succeeds or says in one sentence why not. Afterwards `make repro` must reach the
    undisturbed outcome. `score` writes either no scores or all those of a complete detector.
    """
    fault = Fault(NAME)
    for number in range(tries):
        fault.tries.append(_try(bench, list(CASES)[number % len(CASES)], rng))
        yield fault


def _try(bench: Bench, name: str, rng: random.Random) -> Try:
    checkout = bench.fresh.copy("together")
    _write_samples(checkout)
    checkout.run(*DVC, "prepare@digits")  # `tune` and `train` need it
    started: list[Command] = []
    for words in CASES[name]:
        started.append(checkout.start(*words))
        started[-1].lives_after(rng.uniform(0, 4))
    said, lost = _score_meanwhile(checkout, started, _expected_scores(bench))
    for command in started:
        status, output = command.wait()
        if status:
            said.add(message(output))
        if "Traceback" in output or (status and not message(output)):
            lost.add("a command stopped without a message, or with a traceback.")
    checkout.wait_for_end()
    status, output = checkout.run(*REPRO)
    if status:
        lost.add(f"it did not resume: {message(output)}")
    checkout.wait_for_end()
    changed = [] if status else _changes(checkout, bench.undisturbed)
    said_text = " ".join(sorted(said))
    return Try(name, not changed and not status, said_text, [*sorted(lost), *changed])


def _changes(checkout: Checkout, undisturbed: Outcome) -> list[str]:
    """Return the differences; the study of `tune` has runs and reports of its own."""
    outcome = Outcome.of(checkout)
    rows = {key: row for key, row in outcome.rows.items() if not key.startswith("tune ")}
    files = {
        path: digest
        for path, digest in outcome.files.items()
        if not path.startswith("reports/tune/")
    }
    return Outcome(files, rows).differences(undisturbed)


def _score_meanwhile(
    checkout: Checkout, started: Sequence[Command], expected: str
) -> tuple[set[str], set[str]]:
    """Score again and again while other commands run; return messages and losses."""
    said, lost = set(), set()
    while any(command.process.poll() is None for command in started):
        status, output = checkout.run(*SCORE)
        if status:
            said.add(message(output))
            if "Traceback" in output or not message(output):
                lost.add(f"`score` stopped without a message: {output[-300:]}")
        elif (checkout.folder / SCORES).read_text(encoding="utf-8") != expected:
            lost.add("`score` wrote scores of an incomplete detector.")
        time.sleep(0.2)
    return said, lost


def _write_samples(checkout: Checkout) -> None:
    """Write the samples to score: digits as scikit-learn bundles them."""
    import numpy as np
    from sklearn.datasets import load_digits

    x = load_digits().images[:200, None].astype(np.uint8)
    np.savez(checkout.folder / "digits.npz", x=x)


def _expected_scores(bench: Bench) -> str:
    """Return the table that the undisturbed detector writes."""
    _write_samples(bench.complete)
    status, output = bench.complete.run(*SCORE)
    if status:
        raise RuntimeError(f"score fails without any fault:\n{output}")
    return (bench.complete.folder / SCORES).read_text(encoding="utf-8")
