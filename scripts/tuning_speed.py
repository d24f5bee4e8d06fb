"""Measure what a study costs beside its trainings: overhead, workers, MLflow.

    python scripts/tuning_speed.py             # some fifteen minutes on two cores

Figures are ratios within one run, each kind measured in turn with the other: machines are noisy.
In a study every training has the same number of epochs, and nothing is pruned. Writes
reports/tuning_speed.md.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import yaml

from hourglass.core.paths import Cell
from hourglass.data.datamodule import DataModule
from hourglass.stages.prepare import prepare
from hourglass.training.trainer import fit_resumable, make_module, make_trainer
from hourglass.tuning import study as studies
from hourglass.tuning.search_space import Space
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial import Trials, load_trials
from hourglass.tuning.worker import Job, run_next

ROOT = Path(__file__).parents[1]
DATA, MODEL, EPOCHS = "digits", "denoising", 60
DATA_SETS = ("digits", "breast_cancer")  # trained as configured
WARM = "a trial against the same training in a warm process, {}"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _workspace(Path(folder))
        trials, repeats = arguments.trials, arguments.repeats
        rows = [_row(WARM.format(data), _overhead(data, 3 * repeats)) for data in DATA_SETS]
        _shorten()
        rows += [
            _row("one worker against two, wall time", _ratios(_one, _two, trials, repeats)),
            _row("MLflow on against off, wall time", _ratios(_one, _without, trials, repeats)),
        ]
    text = f"# What a study costs\n\n`python scripts/tuning_speed.py` on {os.cpu_count()} cores: "
    text += f"`{MODEL}`; studies of `{DATA}` with {trials} trials of {EPOCHS} epochs.\n\n"
    text += "| ratio of | median | range |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    (ROOT / "reports" / "tuning_speed.md").write_text(text, encoding="utf-8")
    print(text)


def _row(what: str, ratios: list[float]) -> str:
    return f"| {what} | {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |"


def _workspace(folder: Path) -> None:
    """Make a folder like the project's, and go there."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(ROOT / "params.yaml", folder)
    for name in ("MLFLOW_TRACKING_URI", "HOURGLASS_OPTUNA_STORAGE"):
        os.environ.pop(name, None)
    os.chdir(folder)
    for name in DATA_SETS:
        prepare(name)


def _shorten() -> None:
    """Give all trainings of a study the same number of epochs."""
    path = Path(f"configs/data/{DATA}.yaml")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["training"] |= {"max_epochs": EPOCHS, "patience": EPOCHS}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")


def _overhead(data: str, repeats: int) -> list[float]:
    """Return the time of a trial over that of its training alone, in turn."""
    question = StudySpec.of(Cell(data, MODEL), "detection", None)
    job = Job(data, MODEL, "detection", question.space, 10**6, "median", 0, data, "a command")
    trials = replace(load_trials(question, 0), space=Space({}, {}, frozenset()))
    study = studies.create(job.study, {}, trials.objective, {})
    # It asks at each report, as a search does, and lets all go on.
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=10**6)
    ratios = [
        _seconds(lambda: run_next(study, trials, job)) / _seconds(lambda: _train(trials))
        for _ in range(repeats + 1)
    ]
    return ratios[1:]  # the first one pays for what a process does once


def _train(trials: Trials) -> None:
    settings = trials.settings
    module = make_module(settings)
    with tempfile.TemporaryDirectory() as folder:
        trainer, history = make_trainer(settings, Path(folder), None, watching=())
        data = DataModule(settings.data, settings.training.batch_size, settings.seed)
        fit_resumable(trainer, history, module, data)


def _ratios(
    one: Callable[[int], object], other: Callable[[int], object], trials: int, repeats: int
) -> list[float]:
    return [_seconds(lambda: one(trials)) / _seconds(lambda: other(trials)) for _ in range(repeats)]


def _one(trials: int) -> None:
    _tune(trials)


def _two(trials: int) -> None:
    _tune(trials, "--workers", "2")


def _without(trials: int) -> None:
    _tune(trials, "--no_mlflow")


def _tune(trials: int, *words: str) -> None:
    """Run a whole study, from nothing, as people do."""
    for path in [*Path().glob("optuna.db*"), *Path().glob("mlflow.db*")]:
        path.unlink()
    shutil.rmtree("mlruns", ignore_errors=True)
    command = [sys.executable, str(ROOT / "src/hourglass"), "tune", DATA, MODEL, "--pruner", "none"]
    command += ["--trials", str(trials), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
