"""The stages' side of the record in MLflow: a pipe to a process of its own.

Importing MLflow takes longer than torch, and a database must not hold up a training step, so a
child process (`hourglass.tracking.process`) imports it beside the stage's own imports and writes
while the stage works. A stage tells it what happened, and at the end waits until all is written,
or until it is plain that the store is away: that stops no stage, as its files hold all of it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

from hourglass.core.errors import UserError
from hourglass.core.paths import Cell, root
from hourglass.tracking.cell_record import facts

Kind: TypeAlias = Literal["cell", "study"]
COMPLETED_BY = {
    "cell": "the next stage, or `hourglass record --all`, makes up for it",
    "study": "the same `hourglass tune` makes up for it",
}


class Recorder:
    """Keep the record of one cell, of a grid, or of a study; a context manager around the work.

    Leaving it by an exception marks the run as failed. A process that is killed leaves the run as
    running, to be taken up again.
    """

    def __init__(self, kind: Kind = "cell") -> None:
        self._kind: Kind = kind
        self._away = ""  # why nothing could be recorded when last asked
        found_first = [str(Path(__file__).parents[2]), *filter(None, [os.getenv("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found_first)}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "hourglass.tracking.process", str(root()), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )

    def tell(self, method: str, **arguments: Any) -> None:
        """Have a method of the record called, without waiting for it."""
        assert self._child.stdin
        try:
            self._child.stdin.write(json.dumps({"method": method, "arguments": arguments}) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            self._answer()

    def ask(self, method: str, **arguments: Any) -> Any:
        """Have a method called and return what it returns; None where the store is away.

        What was told then waits until it is back, or until the stage ends. Raises a UserError where
        the store will not take it, or something told before, at any time.
        """
        self.tell(method, **arguments)
        return self._answer()

    def complete(self, cell: Cell, classified: bool = False) -> None:
        """Add what the cell's files say to its row, or to a new one where that holds otherwise."""
        self.tell("complete", **facts(cell, classified).told())

    def _answer(self) -> Any:
        assert self._child.stdout
        for line in self._child.stdout:
            answer = json.loads(line)
            if "refusal" in answer:
                raise UserError(answer["refusal"])
            self._away = answer.get("away", "")
            return answer.get("result")
        raise UserError("the process that writes to MLflow died; its message is above.")

    def _say_if_away(self) -> None:
        """Say that the stage has ended unrecorded; its files hold all that the record lacks."""
        if self._away:
            reason = f"not recorded in MLflow: {self._away}; {COMPLETED_BY[self._kind]}"
            print(f"hourglass: {reason}.", file=sys.stderr)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.ask("finish", status="FINISHED")
                self._say_if_away()
            elif self._child.poll() is None:
                self.tell("finish", status="FAILED")
        except UserError:
            if kind is None:
                raise
        finally:
            self._child.communicate()
