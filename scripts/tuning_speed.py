"""Measure the cost of a study: overhead per trial, two workers, MLflow.

    python scripts/tuning_speed.py             # 15 minutes on two cores

Writes reports/tuning_speed.md. A ratio is of two alternating measurements. Within a study every
training has the same number of epochs, and nothing is pruned.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import optuna
from common import ROOT, argument_parser, enter, limit_epochs, prepare_missing, seconds, write_page

from hourglass.core.paths import Cell
from hourglass.data.datamodule import DataModule
from hourglass.training.trainer import fit_resumable, make_module, make_trainer
from hourglass.tuning import study as studies
from hourglass.tuning.search_space import Space
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial import Trials, load_trials
from hourglass.tuning.worker import Job, run_next

DATA, MODEL, EPOCHS = "digits", "denoising", 60
DATA_SETS = ("digits", "breast_cancer")  # trained as configured
OVERHEAD = "a trial against the same training in the same process, {}"


def main() -> None:
    """Measure and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _workspace(Path(folder))
        trials, repeats = arguments.trials, arguments.repeats
        rows = [_row(OVERHEAD.format(data), _overhead(data, 3 * repeats)) for data in DATA_SETS]
        limit_epochs(DATA, EPOCHS)
        rows += [
            _row("one worker against two, wall time", _ratios(trials, repeats, "--workers", "2")),
            _row("MLflow on against off, wall time", _ratios(trials, repeats, "--no_mlflow")),
        ]
    text = f"# The cost of a study\n\n`python scripts/tuning_speed.py` on {os.cpu_count()} cores: "
    text += f"`{MODEL}`; studies of `{DATA}` with {trials} trials of {EPOCHS} epochs.\n\n"
    text += "| ratio of | median | range |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    write_page(ROOT / "reports" / "tuning_speed.md", text)


def _row(what: str, ratios: list[float]) -> str:
    return f"| {what} | {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |"


def _workspace(folder: Path) -> None:
    """Enter a workspace with prepared data, without the user's servers."""
    enter(folder)
    for name in ("MLFLOW_TRACKING_URI", "HOURGLASS_OPTUNA_STORAGE"):
        os.environ.pop(name, None)
    prepare_missing(*DATA_SETS)


def _overhead(data: str, repeats: int) -> list[float]:
    """Return ratios of the times of a trial and of its training, which alternate."""
    spec = StudySpec.of(Cell(data, MODEL), "detection", None)
    job = Job(data, MODEL, "detection", spec.space, 10**6, "median", 0, data, "a command")
    trials = replace(load_trials(spec, 0), space=Space({}, {}))
    study = studies.create(job.study, {}, trials.objective, {})
    # The pruner runs at each report, as in a search, but prunes nothing.
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=10**6)
    ratios = [
        seconds(run_next, study, trials, job) / seconds(_train, trials) for _ in range(repeats + 1)
    ]
    return ratios[1:]  # the first includes one-time costs of the process


def _train(trials: Trials) -> None:
    settings = trials.settings
    module = make_module(settings)
    with tempfile.TemporaryDirectory() as folder:
        trainer, history = make_trainer(settings, Path(folder), None, trial_callbacks=())
        data = DataModule(settings.data, settings.training.batch_size, settings.seed)
        fit_resumable(trainer, history, module, data)


def _ratios(trials: int, repeats: int, *words: str) -> list[float]:
    """Return ratios of the times of a study without and with additional options."""
    return [seconds(_tune, trials) / seconds(_tune, trials, *words) for _ in range(repeats)]


def _tune(trials: int, *words: str) -> None:
    """Run a new study from the command line."""
    for path in [*Path().glob("optuna.db*"), *Path().glob("mlflow.db*")]:
        path.unlink()
    shutil.rmtree("mlruns", ignore_errors=True)
    command = [sys.executable, str(ROOT / "src/hourglass"), "tune", DATA, MODEL, "--pruner", "none"]
    command += ["--trials", str(trials), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
