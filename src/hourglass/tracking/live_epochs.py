"""The live record of a training in MLflow: epochs and system metrics while it runs.

It reads three files of the checkpoint folder: state.json with the tokens of this training and the
training that it replaced; the resolved settings; and the epochs, one JSON object per line.
"""

import json
import time
from typing import TYPE_CHECKING, Any

import yaml

from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.tracking import provenance
from hourglass.tracking.entries import epoch_points, settings_params
from hourglass.tracking.record import FIRST_RUN, KIND, TRAINING
from hourglass.tracking.recording import EPOCHS, SETTINGS
from hourglass.tracking.runs import Runs

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

SYSTEM_INTERVAL_SECONDS = 2
SYSTEM_METRICS_AFTER_SECONDS = 60  # shorter trainings have no system metrics


class LiveTraining:
    """The MLflow run of a training in progress; a training resumed after a crash keeps its run.

    Errors of MLflow are raised. After an error, a new object continues the same run.
    """

    def __init__(self, runs: Runs, cell: Cell) -> None:
        self.runs, self.epochs_file = runs, cell.resume / EPOCHS
        state = json.loads((cell.resume / "state.json").read_text(encoding="utf-8"))
        if state["replaced"]:
            self._abandon(state["replaced"])
        with runs.lock():
            token = state["token"]
            existing = [*runs.find(FIRST_RUN, token), *runs.find(TRAINING, token)]
            tags = {TRAINING: token, KIND: "cell", **provenance.tags()}
            start_ms = int((cell.resume / SETTINGS).stat().st_mtime * 1000)
            run = existing[-1] if existing else runs.create(cell.name, tags, start_ms)
        self.run_id: str = run.info.run_id
        runs.client.update_run(self.run_id, status="RUNNING")
        settings = yaml.safe_load((cell.resume / SETTINGS).read_text(encoding="utf-8"))
        runs.add_params(run, settings_params(settings))
        runs.add_dataset(run, Prepared.open(cell.prepared).card)
        self.logged: set[tuple[str, int]] | None = None  # metric and epoch; None if unknown
        self.offset = 0  # bytes of the epochs file that have been logged
        packages = provenance.installed_packages()
        runs.client.log_text(self.run_id, packages, "environment/requirements.txt")
        self.monitor: SystemMetricsMonitor | None = None
        self.resumed, self.started = bool(existing), start_ms / 1000

    def _abandon(self, token: str) -> None:
        """Mark the unfinished run of a replaced training as killed."""
        for run in self.runs.find(TRAINING, token):
            if run.info.status == "RUNNING":
                self.runs.close(run.info.run_id, "KILLED")

    def update(self) -> None:
        """Log new epochs, and measure the system once the training has run for a while."""
        self.log_epochs()
        if self.monitor or time.time() - self.started < SYSTEM_METRICS_AFTER_SECONDS:
            return
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self.monitor = SystemMetricsMonitor(
            self.run_id,
            sampling_interval=SYSTEM_INTERVAL_SECONDS,
            resume_logging=self.resumed,
            tracking_uri=self.runs.client.tracking_uri,
        )
        self.monitor.start()

    def log_epochs(self) -> None:
        """Log the epochs appended to the file since the last call."""
        with self.epochs_file.open("rb") as file:
            file.seek(self.offset)
            lines = file.read()
        lines = lines[: lines.rfind(b"\n") + 1]  # the last line may be incomplete
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines.splitlines()]
        points = [point for row in rows for point in epoch_points(row)]
        if not points:
            return
        # If the request fails, the server may still have written the points.
        logged, self.logged = self.logged, None
        if logged is None:
            logged = self._logged_before()
        self.runs.log(self.run_id, [point for point in points if point[:2] not in logged])
        self.logged = logged | {point[:2] for point in points}
        self.offset += len(lines)

    def _logged_before(self) -> set[tuple[str, int]]:
        run = self.runs.client.get_run(self.run_id)
        names = [name for name in run.data.metrics if not name.startswith("system/")]
        return {point[:2] for point in self.runs.points(run, names)}

    def close(self, status: str) -> None:
        """Log the last epochs, and end the run as FINISHED or FAILED."""
        self.stop_monitor()
        self.log_epochs()
        self.runs.close(self.run_id, status)

    def stop_monitor(self) -> None:
        """Stop measuring the system, after at least one measurement."""
        monitor, self.monitor = self.monitor, None
        if monitor:
            monitor.finish()
            monitor.collect_metrics()
            monitor.publish_metrics(monitor.aggregate_metrics())
            monitor.mlflow_logger.flush()
