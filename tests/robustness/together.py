"""Commands that several people run at the same time on one checkout."""

import random
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.datasets import load_digits

from tests.robustness.checkout import HOURGLASS, REPRO, Checkout, Command, message
from tests.robustness.outcome import Bench, Outcome
from tests.robustness.report import Try
from tests.workspaces import wait_for_end

DVC = (sys.executable, "-m", "dvc", "repro")
CELL = ("digits", "denoising")
SAMPLES, SCORES = "digits.npz", "new.csv"
SCORE = (*HOURGLASS, "score", *CELL, SAMPLES, "--out", SCORES, "--heat_maps", "0")
TUNE = (*HOURGLASS, "tune", *CELL, "--trials", "3")
TRAIN = (*HOURGLASS, "train", *CELL)
CASES: dict[str, Sequence[Sequence[str]]] = {
    "two `make repro`, `tune` and `score`": (REPRO, REPRO, TUNE),
    "two `dvc repro` and `score`": (DVC, DVC),
    "two `train` of one cell, and `score`": (TRAIN, TRAIN),
}


def together(bench: Bench, tries: int, rng: random.Random) -> Iterator[Try]:
    """Yield the results of commands that start at random moments while `score` runs.

    A command succeeds or says in one sentence why not. Afterwards `make repro` must reach the
    undisturbed outcome. `score` writes either no scores or all those of a complete detector.
    """
    _write_samples(bench.complete)
    status, output = bench.complete.run(*SCORE)
    if status:
        raise RuntimeError(f"score fails without any fault:\n{output}")
    expected = (bench.complete.folder / SCORES).read_text(encoding="utf-8")
    for number in range(tries):
        yield _try(bench, list(CASES)[number % len(CASES)], expected, rng)


def _try(bench: Bench, name: str, expected: str, rng: random.Random) -> Try:
    checkout = bench.fresh.copy("together")
    _write_samples(checkout)
    checkout.run(*DVC, "prepare@digits")  # `tune` and `train` need it
    started: list[Command] = []
    for words in CASES[name]:
        started.append(checkout.start(*words))
        started[-1].lives_after(rng.uniform(0, 4))
    ends, losses = _score_meanwhile(checkout, started, expected)
    ends += [command.wait() for command in started]
    messages = {message(output) for status, output in ends if status}
    if "" in messages or any("Traceback" in output for _, output in ends):
        losses.append("a command stopped without a message, or with a traceback.")
    wait_for_end(checkout.folder)
    status, output = checkout.run(*REPRO)
    wait_for_end(checkout.folder)
    if status:
        losses.append(f"it did not resume: {message(output)}")
    changed = [] if status else _changes(checkout, bench.undisturbed)
    identical = not changed and not status
    return Try(name, identical, " ".join(sorted(messages)), [*losses, *changed])


def _score_meanwhile(
    checkout: Checkout, started: Sequence[Command], expected: str
) -> tuple[list[tuple[int, str]], list[str]]:
    """Score again and again while other commands run; return statuses with outputs, and losses."""
    ends, losses = [], []
    while any(command.process.poll() is None for command in started):
        ends.append(checkout.run(*SCORE))
        scores = checkout.folder / SCORES
        if ends[-1][0] == 0 and scores.read_text(encoding="utf-8") != expected:
            losses.append("`score` wrote scores of an incomplete detector.")
        time.sleep(0.2)
    return ends, losses


def _changes(checkout: Checkout, undisturbed: Outcome) -> list[str]:
    """Return the differences; the study of `tune` has runs and reports of its own."""
    outcome = Outcome.of(checkout)
    rows = {key: row for key, row in outcome.rows.items() if not key.startswith("tune ")}
    paths = [path for path in outcome.files if not path.startswith("reports/tune/")]
    return Outcome({path: outcome.files[path] for path in paths}, rows).differences(undisturbed)


def _write_samples(checkout: Checkout) -> None:
    """Write the samples to score: digits as scikit-learn bundles them."""
    np.savez(checkout.folder / SAMPLES, x=load_digits().images[:200, None].astype(np.uint8))
