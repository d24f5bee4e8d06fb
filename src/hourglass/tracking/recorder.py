"""The stages' side of the record in MLflow: a pipe to a process of its own.

Importing MLflow takes longer than torch, and a database must not hold up a training step, so a
child process (`hourglass.tracking.process`) imports it beside the stage's own imports and writes
while the stage works. A stage tells it what happened, and at the end waits until all is written.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import yaml

from hourglass.errors import Refusal
from hourglass.workspace import Cell, root


class Recorder:
    """Keep the record of one cell, of a grid, or of a study; a context manager around the work.

    Leaving it by an exception marks the run as failed. A process that is killed leaves the run as
    running, to be taken up again.
    """

    def __init__(self, kind: Literal["cell", "study"] = "cell") -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
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
        """Have a method called and return what it returns.

        Raises a Refusal where it, or something told before, could not be recorded.
        """
        self.tell(method, **arguments)
        return self._answer()

    def resume(
        self, cell: Cell, card: dict[str, Any], params: dict[str, str], metrics: dict[str, float]
    ) -> None:
        """Add params and metrics to the cell's row, or to a new one that carries the training."""
        self.tell(
            "resume",
            run_id=(cell / "run_id").read_text(encoding="utf-8").strip(),
            name=cell.name,
            training=training_record(cell),
            dataset=dataset(card),
            params=params,
            metrics=metrics,
        )

    def _answer(self) -> Any:
        assert self._child.stdout
        for line in self._child.stdout:
            answer = json.loads(line)
            if "refusal" in answer:
                raise Refusal(answer["refusal"])
            return answer["result"]
        raise Refusal("the process that writes to MLflow died; its message is above.")

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
            elif self._child.poll() is None:
                self.tell("finish", status="FAILED")
        except Refusal:
            if kind is None:
                raise
        finally:
            self._child.communicate()


def settings_params(settings: dict[str, Any]) -> dict[str, str]:
    """Return MLflow params of a cell's settings: flat, under the names that the YAML files use."""
    flat = {key: settings[key] for key in ("data", "model", "seed")}
    flat |= settings["init_args"] | settings["training"]
    flat |= {f"trainer.{key}": value for key, value in settings["trainer"].items()}
    return {key: str(value) for key, value in flat.items()}


def training_record(cell: Cell) -> dict[str, Any]:
    """Return what `train` recorded, from its files, so that a new row can carry it along."""
    settings = yaml.safe_load((cell / "settings.yaml").read_text(encoding="utf-8"))
    with (cell / "history.csv").open(encoding="utf-8") as file:
        history = [
            {key: value if key == "phase" else float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
    summary = json.loads((cell / "training.json").read_text(encoding="utf-8"))
    return {
        "params": settings_params(settings),
        "history": history,
        "metrics": summary,
        "files": [str(cell / name) for name in ("settings.yaml", "history.csv", "network.json")],
    }


def dataset(card: dict[str, Any]) -> dict[str, Any]:
    """Return what identifies a prepared data set in MLflow; the digest is 36 characters at most."""
    return {
        "name": card["data"],
        "digest": card["sha256"][:36],
        "source": card["source"]["name"],
        "counts": card["splits"],
    }
