"""The outcome of a pipeline: the digests of its outputs and the runs in MLflow.

Two undisturbed runs may differ in MLflow's run ids and in timings, so the comparison leaves out the
content of `runs/<data>/<model>/tracking/`, the pages that show it (`index.html`), and metrics with
`second` in their name.
"""

import sqlite3
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import stores
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from hourglass.core.atomic import sha256
from tests.robustness.checkout import HOURGLASS, REPRO, Checkout, message
from tests.robustness.report import Try
from tests.workspaces import wait_for_end

OUTPUTS = ("runs", "data/prepared", "reports")
RECORD = (*HOURGLASS, "record", "--all")
NOT_RECORDED = "not recorded in MLflow"  # printed by a stage while the tracking store is down


@dataclass(frozen=True)
class Outcome:
    """The outputs of a pipeline, path -> digest, and its MLflow runs."""

    files: Mapping[str, str]
    rows: Mapping[str, list[stores.Row]]

    @classmethod
    def of(cls, checkout: Checkout) -> "Outcome":
        """Return the outcome in an idle checkout; without runs if the store is damaged."""
        rows: Mapping[str, list[stores.Row]] = {}
        with tempfile.TemporaryDirectory() as folder:
            # A copy: MLflow keeps a connection to every file it has opened.
            copy, original = Path(folder) / "mlflow.db", checkout.folder / "mlflow.db"
            with closing(sqlite3.connect(original)) as one, closing(sqlite3.connect(copy)) as to:
                one.backup(to)
            with suppress(MlflowException, SQLAlchemyError):
                rows = stores.rows(f"sqlite:///{copy.as_posix()}")
        return cls(digests(checkout.folder), rows)

    def differences(self, other: "Outcome") -> list[str]:
        """Return one sentence per difference between two outcomes."""
        paths = sorted(self.files.keys() | other.files.keys())
        changed = [path for path in paths if self.files.get(path) != other.files.get(path)]
        sentences = [f"{path} differs." for path in changed]
        return sentences + stores.differences(self.rows, other.rows, times=False)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every output, by path; the name of a file with run ids or timings."""
    return {
        path.relative_to(folder).as_posix(): path.name
        if "tracking" in path.parts or path.name == "index.html"
        else sha256(path)
        for output in OUTPUTS
        for path in sorted((folder / output).rglob("*"))
        if path.is_file()
    }


@dataclass(frozen=True)
class Bench:
    """A fresh checkout to copy, and a checkout with the outcome of an undisturbed run."""

    fresh: Checkout
    complete: Checkout
    undisturbed: Outcome
    seconds: float  # of the undisturbed run

    @classmethod
    def set_up(cls, folder: Path, grid: str) -> "Bench":
        """Create the checkouts and run the pipeline undisturbed."""
        fresh = Checkout.new(folder / "fresh", grid)
        complete = fresh.copy("complete")
        start = time.monotonic()
        status, output = complete.run(*REPRO)
        if status:
            raise RuntimeError(f"the pipeline fails without any fault:\n{output}")
        seconds = time.monotonic() - start
        wait_for_end(complete.folder)
        return cls(fresh, complete, Outcome.of(complete), seconds)

    def judge(self, place: str, checkout: Checkout, status: int, output: str) -> Try:
        """Run a pipeline to its end after a fault is over; return the result of the try.

        A pipeline that the fault stopped must have said so in one sentence and left no partial
        output. A stage that could not record its results must have said so, and
        `hourglass record --all` completes the record.
        """
        unrecorded = [line for line in output.splitlines() if NOT_RECORDED in line]
        said = message(output) if status else "".join(unrecorded[-1:])
        losses = [] if said or not status else ["it stopped without a message."]
        if "Traceback" in output:
            losses.append("it stopped with a traceback.")
        wait_for_end(checkout.folder)
        for path, digest in digests(checkout.folder).items():
            if digest != self.undisturbed.files.get(path):
                losses.append(f"{path} is partial or left over.")
        if status:
            status, output = checkout.run(*REPRO)
            wait_for_end(checkout.folder)
        if status:
            return Try(place, False, said, [*losses, f"it did not resume: {message(output)}"])
        if unrecorded:
            status, output = checkout.run(*RECORD)
            losses += [f"`record` failed: {message(output)}"] if status else []
        changed = Outcome.of(checkout).differences(self.undisturbed)
        return Try(place, not changed, said, [*losses, *changed])
