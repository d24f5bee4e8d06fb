"""The child process that records a stage in MLflow, started by `hourglass.tracking.recording`."""

from hourglass.core.fork_server.client import run_in_fork_server

if __name__ == "__main__" and "in_fork" not in globals():
    run_in_fork_server({"module": "hourglass.tracking.stage_recorder"})

import sys

from hourglass.core.paths import Cell, root
from hourglass.tracking.live_epochs import LiveTraining
from hourglass.tracking.record import record_cell, record_report
from hourglass.tracking.recorder import Recorder, serve
from hourglass.tracking.recording import FINISHED
from hourglass.tracking.runs import Runs


class StageRecorder(Recorder):
    """The recording of a stage of a cell, or of the comparison; it follows a training."""

    def __init__(self, stage: str, cell: Cell | None = None) -> None:
        super().__init__(stage)
        self.cell = cell
        self.live: LiveTraining | None = None

    def record(self, message: str) -> None:
        """Record the epochs of a training so far; at the end, the outputs of the stage."""
        self.runs = self.runs or Runs(root())
        if self.follows and self.cell:
            self.live = self.live or LiveTraining(self.runs, self.cell)
            if message:
                self.live.close("FINISHED" if message == FINISHED else "FAILED")
            else:
                self.live.update()
        if message == FINISHED and self.cell:
            record_cell(self.runs, self.cell, classified=self.name == "classify")
        elif message == FINISHED:
            record_report(self.runs)


if __name__ == "__main__":
    stage, *names = sys.argv[1:]
    serve(StageRecorder(stage, Cell(*names) if names else None))
