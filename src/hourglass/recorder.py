"""All that knows MLflow: the process that keeps the record.

It reads one JSON object a line from standard input, `{"method": ..., "arguments": ...}`, and
answers only where the caller waits: `row` and `finish`.
"""

import json
import os
import platform
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from hourglass.errors import Refusal

# Before the import: MLflow reads them then. A dead server is reported in seconds, not minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

EXPERIMENT = "hourglass"
FIRST_RUN = "hourglass.first_run"  # tag: the run that trained what this row calibrates
TOKEN = "hourglass.training"  # tag: the training itself, known before its run is
STUDY, TRIAL = "hourglass.study", "hourglass.trial"  # tags of a study's run and of its children
ANSWERED = ("row", "finish")


def tracking_uri(root: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or the database at the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(root / 'mlflow.db').as_posix()}"


class Record:
    """Write one row of MLflow's table of runs."""

    def __init__(self, root: Path) -> None:
        self.uri = tracking_uri(root)
        if self.uri.startswith(("http://", "https://")):
            _refuse_silent_server(self.uri)
        import mlflow

        mlflow.set_tracking_uri(self.uri)
        self.client = mlflow.MlflowClient(self.uri)
        self.experiment_id = self._experiment(root)
        self.monitor: Any = None
        self.run_id = ""
        self.end_time: int | None = None  # of a run that had ended, which goes on having ended
        self.known_steps: set[int] = set()
        self.waiting: list[Any] = []  # metrics of epochs that were not written yet
        self.written = 0.0

    def _experiment(self, root: Path) -> str:
        from mlflow.exceptions import MlflowException

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        local = (root / "mlruns").as_uri() if self.uri.startswith("sqlite:") else None
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return self.client.create_experiment(name, local)
            except MlflowException:  # another process was faster
                found = self.client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage == "deleted":
            raise Refusal(f"MLflow's experiment {name!r} was deleted; restore it in the UI.")
        return found.experiment_id

    def train(self, token: str, name: str, params: dict[str, str], dataset: dict[str, Any]) -> None:
        """Take up the run of a training, or open it; measure the system while it lasts."""
        runs = self._search(TOKEN, token)
        if runs:
            self.run_id = runs[0].info.run_id
            self.client.update_run(self.run_id, status="RUNNING")
            history = self.client.get_metric_history(self.run_id, "validation_error")
            self.known_steps = {point.step for point in history}
        else:
            self._open(name, {TOKEN: token}, params, dataset)
        self._start_monitor(resume=bool(runs))

    def resume(
        self,
        run_id: str,
        name: str,
        training: dict[str, Any],
        dataset: dict[str, Any],
        params: dict[str, str],
        metrics: dict[str, float],
    ) -> None:
        """Add params and metrics to the row of a training, or to a new row that carries it along.

        A new row is opened where the run is gone, or where all its rows already hold other values:
        nothing is overwritten.
        """
        for run in self._rows(run_id):
            if _agree(run.data.params, params) and _agree(run.data.metrics, metrics):
                self.run_id, self.end_time = run.info.run_id, run.info.end_time
                break
        else:
            self._open(name, {FIRST_RUN: run_id}, training["params"], dataset)
            for row in training["history"]:
                self.epoch(row)
            self.flush()
            self.add(metrics=training["metrics"])
            self.files(training["files"])
        self.add(params, metrics)

    def _rows(self, run_id: str) -> Iterable[Any]:
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
            first = [run] if run.info.lifecycle_stage == "active" else []
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            first = []
        return [*first, *self._search(FIRST_RUN, run_id)]

    def _search(self, tag: str, value: str) -> list[Any]:
        condition = f"tags.`{tag}` = '{value}'"
        return list(self.client.search_runs([self.experiment_id], condition))

    def _open(
        self, name: str, tags: dict[str, str], params: dict[str, str], dataset: dict[str, Any]
    ) -> None:
        run = self.client.create_run(
            self.experiment_id, tags={**tags, **_environment_tags()}, run_name=name
        )
        self.run_id = run.info.run_id
        self.add(params)
        self._log_dataset(dataset)
        self.client.log_text(self.run_id, _installed(), "environment/requirements.txt")

    def _log_dataset(self, dataset: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        entity = Dataset(
            name=dataset["name"],
            digest=dataset["digest"],
            source_type="local",
            source=json.dumps({"uri": dataset["source"]}),
            profile=json.dumps(dataset["counts"]),
        )
        tags = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(self.run_id, [DatasetInput(entity, tags)])

    def _start_monitor(self, resume: bool) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self.monitor = SystemMetricsMonitor(
            self.run_id, sampling_interval=2, resume_logging=resume, tracking_uri=self.uri
        )
        self.monitor.start()

    def row(self) -> str:
        """Return the id of the run."""
        return self.run_id

    def epoch(self, values: dict[str, float]) -> None:
        """Log one row of the history; an epoch that is known already is left as it is.

        Short epochs are written together, once a second: each write locks the database.
        """
        from mlflow.entities import Metric

        step, now = int(values["epoch"]), time.time()
        if step not in self.known_steps:
            self.waiting += [
                Metric(key, value, int(now * 1000), step)
                for key, value in values.items()
                if key != "epoch"
            ]
        if now - self.written > 1:
            self.flush()

    def flush(self) -> None:
        """Write the epochs that wait, in the batches of 1,000 metrics that MLflow takes."""
        for start in range(0, len(self.waiting), 1000):
            self.client.log_batch(self.run_id, self.waiting[start : start + 1000])
        self.waiting, self.written = [], time.time()

    def add(
        self, params: dict[str, str] | None = None, metrics: dict[str, float] | None = None
    ) -> None:
        """Log params and metrics in one batch."""
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        self.client.log_batch(
            self.run_id,
            [Metric(key, value, now, 0) for key, value in (metrics or {}).items()],
            [Param(key, value[:6000]) for key, value in (params or {}).items()],
        )

    def files(self, paths: list[str], folder: str | None = None) -> None:
        """Upload files, and folders with what is in them."""
        for path in map(Path, paths):
            if path.is_dir():
                self.client.log_artifacts(self.run_id, str(path), folder or path.name)
            else:
                self.client.log_artifact(self.run_id, str(path), folder)

    def model(self, folder: str, card: dict[str, Any], example: str) -> None:
        """Log the detector in `folder` as an MLflow model that loads from code, without pickle."""
        import mlflow

        from hourglass import mlflow_model

        with mlflow.start_run(self.run_id, log_system_metrics=False):
            mlflow.pyfunc.log_model(
                name="detector",
                loader_module=mlflow_model.__name__,
                data_path=folder,
                code_paths=[str(Path(__file__).parent)],
                pip_requirements=mlflow_model.requirements(),
                signature=mlflow_model.signature(card),
                input_example=mlflow_model.example(card, Path(example)),
            )

    def trial(
        self,
        study: str,
        number: int,
        params: dict[str, str],
        metrics: dict[str, float],
        status: str,
    ) -> None:
        """Log one trial as a child of its study's run, each opened where it is not there yet."""
        parents = self._search(STUDY, study)
        if not parents:
            self.client.create_run(
                self.experiment_id, tags={STUDY: study}, run_name=f"tune {study}"
            )
            parents = self._search(STUDY, study)
        self.run_id = parents[0].info.run_id
        trial = self.client.create_run(
            self.experiment_id,
            tags={"mlflow.parentRunId": self.run_id, TRIAL: f"{study} {number}"},
            run_name=f"trial {number}",
        )
        parent, self.run_id = self.run_id, trial.info.run_id
        self.add(params, metrics)
        self.client.set_terminated(self.run_id, status)
        self.run_id = parent

    def finish(self, status: str) -> None:
        """Close the run as FINISHED or FAILED; one that had ended stays as it ended."""
        self.flush()
        if self.monitor:
            self.monitor.finish()
        if self.run_id:
            status = "FINISHED" if self.end_time else status
            self.client.set_terminated(self.run_id, status, self.end_time)


def _agree(recorded: dict[str, Any], given: dict[str, Any]) -> bool:
    return all(recorded.get(key, value) == value for key, value in given.items())


def _refuse_silent_server(uri: str) -> None:
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()
    except urllib.error.HTTPError:
        return  # It answers; whether it lets us in is for MLflow to say.
    except OSError as error:
        raise Refusal(
            f"the MLflow server at {uri} does not answer ({error}); start it, or unset "
            "MLFLOW_TRACKING_URI to record in ./mlflow.db."
        ) from None


def _environment_tags() -> dict[str, str]:
    tags = {
        "hourglass.version": metadata.version("hourglass"),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "platform": platform.platform(),
    }
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if git.returncode == 0:
        tags["mlflow.source.git.commit"] = git.stdout.strip()
        changes = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        tags["git.uncommitted_changes"] = str(bool(changes.stdout.strip())).lower()
    return tags


def _installed() -> str:
    found = {f"{each.name}=={each.version}" for each in metadata.distributions()}
    return "\n".join(sorted(found, key=str.lower)) + "\n"


def main() -> None:
    """Serve one stage until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stage, which tells us
    # Whatever libraries print must not stand among the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    record, refusal = _attempt(Record, Path(sys.argv[1]))
    for line in sys.stdin:
        call, result = json.loads(line), None
        if not refusal:
            result, refusal = _attempt(getattr(record, call["method"]), **call["arguments"])
        if call["method"] in ANSWERED:
            answer = {"refusal": refusal} if refusal else {"result": result}
            print(json.dumps(answer), file=answers, flush=True)


def _attempt(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, str]:
    """Return a function's result, and what to tell the stage where there is none.

    After the first failure nothing more is written: the stage fails with its sentence.
    """
    try:
        return function(*args, **kwargs), ""
    except Refusal as refusal:
        return None, str(refusal)
    except Exception as error:
        message = " ".join(str(error).split())[:500].rstrip(".")
        doing = function.__name__
        return None, f"MLflow could not record ({doing}: {type(error).__name__}: {message})."


if __name__ == "__main__":
    main()
