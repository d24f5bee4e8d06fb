"""Commands that people run at the same time on one checkout."""

import random
import sys
import time
from collections.abc import Iterator, Sequence

from faults.bench import Bench
from faults.checkout import HOURGLASS, REPRO, Checkout, Command, sentence
from faults.outcome import Outcome
from faults.rows import Fault, Try

NAME = "at the same time on one checkout:"
DVC = (sys.executable, "-m", "dvc", "repro")
CELL = ("digits", "denoising")
FILE = "new.csv"
SCORE = (*HOURGLASS, "score", *CELL, "digits.npz", "--out", FILE, "--heat_maps", "0")
TUNE = (*HOURGLASS, "tune", *CELL, "--trials", "3")
TRAIN = (*HOURGLASS, "train", *CELL)
CASES: dict[str, Sequence[Sequence[str]]] = {
    "two `make repro`, `tune` and `score`": (REPRO, REPRO, TUNE),
    "two `dvc repro` and `score`": (DVC, DVC),
    "two `train` of one cell by hand, and `score`": (TRAIN, TRAIN),
}


def together(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault after each try: commands that begin at random moments, `score` all the while.

    A command ends well, or says in one sentence why not. In the end `make repro` must leave what it
    leaves undisturbed, and scores are either none, or all those of a whole detector.
    """
    fault = Fault(NAME)
    names = list(CASES)
    for name in (names[number % len(names)] for number in range(tries)):
        fault.tries.append(_try(bench, name, rng))
        yield fault


def _try(bench: Bench, name: str, rng: random.Random) -> Try:
    checkout = bench.fresh.copy("together")
    _write_samples(checkout)
    checkout.run(*DVC, "prepare@digits")  # `tune` and `train` refuse to begin without
    started: list[Command] = []
    for words in CASES[name]:
        started.append(checkout.start(*words))
        started[-1].lives_after(rng.uniform(0, 4))
    expected = _scores(bench)
    said, lost = _score_all_the_while(checkout, started, expected)
    for command in started:
        status, output = command.wait()
        if status:
            said.append(sentence(output))
        if "Traceback" in output or (status and not sentence(output)):
            lost.append("a command stopped without a sentence, or with a traceback.")
    checkout.wait_for_end()
    status, output = checkout.run(*REPRO)
    if status:
        lost.append(f"it did not go on: {sentence(output)}")
    checkout.wait_for_end()
    changed = [] if status else _changed(checkout, bench.undisturbed)
    return Try(name, not changed and not status, " ".join(sorted(set(said))), [*lost, *changed])


def _changed(checkout: Checkout, undisturbed: Outcome) -> list[str]:
    """Return what differs; the study of `tune` and its trials are rows beside those of cells."""
    found = Outcome.of(checkout)
    rows = {key: row for key, row in found.rows.items() if not key.startswith("tune ")}
    files = {key: each for key, each in found.files.items() if not key.startswith("reports/tune/")}
    return Outcome(files, rows).differences(undisturbed)


def _score_all_the_while(
    checkout: Checkout, started: Sequence[Command], expected: str
) -> tuple[list[str], list[str]]:
    """Score again and again while others work; return what was refused, and what was wrong."""
    said, lost = set(), set()
    while any(command.process.poll() is None for command in started):
        status, output = checkout.run(*SCORE)
        if status:
            said.add(sentence(output))
            if "Traceback" in output or not sentence(output):
                lost.add(f"`score` stopped without a sentence: {output[-300:]}")
        elif (checkout.folder / FILE).read_text(encoding="utf-8") != expected:
            lost.add("`score` gave scores of no whole detector.")
        time.sleep(0.2)
    return sorted(said), sorted(lost)


def _write_samples(checkout: Checkout) -> None:
    """Write what is to be scored: the digits as scikit-learn brings them."""
    import numpy as np
    from sklearn.datasets import load_digits

    x = load_digits().images[:200, None].astype(np.uint8)
    np.savez(checkout.folder / "digits.npz", x=x)


def _scores(bench: Bench) -> str:
    """Return the table that the undisturbed detector writes."""
    _write_samples(bench.whole)
    status, output = bench.whole.run(*SCORE)
    if status:
        raise RuntimeError(f"score fails without any fault:\n{output}")
    return (bench.whole.folder / FILE).read_text(encoding="utf-8")
