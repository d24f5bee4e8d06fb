"""What every fault is tried on: a repository in which nothing ran, and what a run gives."""

import time
from dataclasses import dataclass
from pathlib import Path

from faults.checkout import HOURGLASS, REPRO, Checkout, sentence
from faults.outcome import Outcome, half_written
from faults.rows import Try

RECORD = (*HOURGLASS, "record", "--all")
UNRECORDED = "not recorded in MLflow"  # of a stage that ends well while its store is away


@dataclass(frozen=True)
class Bench:
    """A fresh checkout to copy, the outcome of an undisturbed run of it, and how long that took."""

    fresh: Checkout
    whole: Checkout  # in which it ran
    undisturbed: Outcome
    seconds: float

    @classmethod
    def set_up(cls, folder: Path, grid: str) -> "Bench":
        """Make the checkout and run its pipeline undisturbed."""
        fresh = Checkout.new(folder / "fresh", grid)
        whole = fresh.copy("whole")
        begin = time.monotonic()
        status, output = whole.run(*REPRO)
        if status:
            raise RuntimeError(f"the pipeline fails without any fault:\n{output}")
        seconds = time.monotonic() - begin
        whole.wait_for_end()
        return cls(fresh, whole, Outcome.of(whole), seconds)

    def judge(self, where: str, checkout: Checkout, status: int, output: str) -> Try:
        """Return what came of a pipeline that a fault may have stopped, and run it to its end.

        The fault is over by now. Where it stopped the pipeline, that must have said so in one
        sentence, and have left no output half written. Where it kept stages from recording, they
        must have said so, and `hourglass record --all` makes up for it.
        """
        unrecorded = [line for line in output.splitlines() if UNRECORDED in line]
        said = sentence(output) if status else "".join(unrecorded[-1:])
        lost = [] if said or not status else ["it stopped without a sentence."]
        if "Traceback" in output:
            lost.append("it stopped with a traceback.")
        checkout.wait_for_end()
        lost += half_written(checkout.folder, self.undisturbed.files)
        if status:
            status, output = checkout.run(*REPRO)
            checkout.wait_for_end()
        if status:
            return Try(where, False, said, [*lost, f"it did not go on: {sentence(output)}"])
        if unrecorded:
            status, output = checkout.run(*RECORD)
            lost += [f"`record` did not make up for it: {sentence(output)}"] if status else []
        changed = Outcome.of(checkout).differences(self.undisturbed)
        return Try(where, not changed, said, [*lost, *changed])
