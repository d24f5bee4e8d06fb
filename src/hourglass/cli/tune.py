"""An Optuna study over one cell: which bottleneck, which noise, and what else a space names."""

import os
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.core.atomic import atomic_folder, write_json
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.settings import data_config, model_config
from hourglass.data.prepared import Prepared
from hourglass.tuning.study_spec import StudySpec

if TYPE_CHECKING:
    import optuna

    from hourglass.tuning.best_trial import Winner
    from hourglass.tuning.worker_job import Pruner

STUDIES = Path("reports/tune")


def tune(
    data: str,
    model: str,
    trials: int | None = None,
    objective: str = "detection",
    space: str | None = None,
    pruner: "Pruner" = "median",
    workers: int = 1,
    mlflow: bool = True,
    apply: bool = False,
    show: bool = False,
    out: Path | None = None,
) -> None:
    """Search the settings of one cell: its bottleneck, its noise, and whatever else a space names.

    A study goes on where it was stopped, in ./optuna.db or HOURGLASS_OPTUNA_STORAGE; another
    question (objective, space, data, code, or settings that are not searched) is another study. The
    test split is not read.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        trials: how many trials the study is to have when it ends, 50 where nothing is said; with
            apply or show, those it has
        objective: what is best, by the name of a file in configs/tune/objective
        space: what is searched, by the name of a file in configs/tune/space; without it that of the
            data set, or default
        pruner: what stops trials that fall behind
        workers: how many trials are run at once, each in a process of its own
        mlflow: whether the study and its trials are recorded in MLflow
        apply: write the best values to configs/cell/<data>-<model>.yaml, for `dvc repro`
        show: print the study and run nothing
        out: a JSON file for the best values and what they reach

    """
    _check(trials, workers, show, out)
    cell = Cell(data, model)
    data_config(data)
    model_config(model)
    Prepared.open(cell.prepared)
    question = StudySpec.of(cell, objective, space)
    if trials is None and not (apply or show):
        trials = 50
    if trials:
        _search(question, trials, pruner, workers, mlflow)
    _conclude(question, apply, out)


def _check(trials: int | None, workers: int, show: bool, out: Path | None) -> None:
    """Raise a UserError for arguments that cannot be, before any work."""
    if workers < 1:
        raise UserError(f"workers is {workers}, but must be at least 1.")
    if trials is not None and (trials < 1 or show):
        reason = "must be at least 1" if trials < 1 else "--show runs none"
        raise UserError(f"trials is {trials}, but {reason}.")
    if out and out.is_dir():
        raise UserError(f"out is {out}, a folder; name a file in it.")
    if any(int(os.environ.get(name) or 1) > 1 for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")):
        raise UserError(
            "a launcher started this as one of several processes, but tune starts its own; run it "
            "alone, and `devices` in configs/trainer says how many train a trial."
        )


def _search(question: StudySpec, trials: int, pruner: "Pruner", workers: int, mlflow: bool) -> None:
    """Run the trials that are missing, draw the study, and record all of it."""
    from hourglass.tuning.best_trial import need_winner
    from hourglass.tuning.mlflow_record import StudyRecorder
    from hourglass.tuning.progress import Watch
    from hourglass.tuning.worker_job import Job
    from hourglass.tuning.worker_pool import run

    cell, names, command = question.cell, question.make_objective().names, uuid.uuid4().hex
    asked = (question.objective, question.space, trials, pruner)
    job = Job(cell.data, cell.model, *asked, place=0, study=question.study, command=command)
    with StudyRecorder(question) if mlflow else nullcontext() as recorder:
        watch = Watch(question)
        run(job, workers, watch)
        winner = need_winner(watch.study, question.study)
        assert watch.study
        figures = _draw(watch.study, names, winner)
        if recorder:
            recorder.figures = figures


def _draw(study: "optuna.Study", names: Sequence[str], winner: "Winner") -> list[Path]:
    """Draw the study into its folder of reports/tune, and return the paths of the figures."""
    from hourglass.tuning.figures import draw_study
    from hourglass.tuning.locks import locked

    target = STUDIES / study.study_name
    with locked("figures"), atomic_folder(target) as folder:
        draw_study(study, names, winner, folder)
    return sorted(target.iterdir())


def _conclude(question: StudySpec, apply: bool, out: Path | None) -> None:
    """Print the study, and hand its winner on."""
    from hourglass.tuning import storage
    from hourglass.tuning import study as studies
    from hourglass.tuning.apply import apply_values
    from hourglass.tuning.best_trial import need_winner
    from hourglass.tuning.trials_table import describe

    names, name = question.make_objective().names, question.study
    where = storage.open_storage() if storage.exists() else None
    study = studies.load(name, where) if where else None
    if where and not study:
        for other, asked in studies.others(name, where).items():
            print(f"there is {other}, which asked otherwise: {', '.join(question.differs(asked))}")
    winner = need_winner(study, name)
    assert study
    print(describe(study, names))
    if out:
        reached = dict(zip(names, winner.trial.values, strict=True))
        write_json(out, {"study": name, "values": winner.values, **reached})
    if apply:
        print(apply_values(question.cell, winner.values, name))
