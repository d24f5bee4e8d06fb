"""An Optuna study over one cell: which bottleneck, which noise, and what else a space names."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.data.packed import Prepared
from hourglass.errors import Refusal
from hourglass.files import whole_folder, write_json
from hourglass.settings import data_config, model_config
from hourglass.tracking.recorder import Recorder
from hourglass.tuning.question import Question
from hourglass.workspace import Cell

if TYPE_CHECKING:
    from hourglass.tuning.worker import Pruner

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
    if workers < 1:
        raise Refusal(f"workers is {workers}, but must be at least 1.")
    if trials is not None and trials < 1:
        raise Refusal(f"trials is {trials}, but must be at least 1.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise Refusal(
            "a launcher started this as one of several processes, but tune starts its own; run it "
            "alone, and `devices` in configs/trainer says how many train a trial."
        )
    cell = Cell(data, model)
    data_config(data)
    model_config(model)
    Prepared.open(cell.prepared)
    question = Question.of(cell, objective, space)
    if trials is None and not (apply or show):
        trials = 50
    if trials and not show:
        _search(question, trials, pruner, workers, mlflow)
    _conclude(question, apply, out)


def _search(question: Question, trials: int, pruner: "Pruner", workers: int, mlflow: bool) -> None:
    """Run the trials that are missing, draw the study, and record all of it."""
    from hourglass.figures.studies import draw_study
    from hourglass.tuning.command import Watch, run
    from hourglass.tuning.winner import need_winner
    from hourglass.tuning.worker import Job

    cell, names = question.cell, question.make_objective().names
    job = Job(
        cell.data, cell.model, question.objective, question.space, trials, pruner, 0, question.study
    )
    with Recorder("study") if mlflow else nullcontext() as recorder:
        watch = Watch(question, names, recorder)
        run(job, workers, watch)
        assert watch.study
        winner = need_winner(watch.study, question.study)
        with whole_folder(STUDIES / question.study) as folder:
            draw_study(watch.study, names, winner, folder)
        if recorder:
            recorder.tell(
                "summary",
                best=winner.trial.number,
                front=[trial.number for trial in winner.front],
                metrics=dict(zip(names, winner.trial.values, strict=True)),
                step=len(watch.seen),
                paths=[str(path) for path in sorted((STUDIES / question.study).iterdir())],
            )


def _conclude(question: Question, apply: bool, out: Path | None) -> None:
    """Print the study, and hand its winner on."""
    from hourglass.tuning import study as studies
    from hourglass.tuning.applying import apply_values
    from hourglass.tuning.table import describe
    from hourglass.tuning.winner import need_winner

    names = question.make_objective().names
    study = studies.load(question.study, studies.storage())
    winner = need_winner(study, question.study)
    assert study
    print(describe(study, names))
    if out:
        reached = dict(zip(names, winner.trial.values, strict=True))
        write_json(out, {"study": question.study, "values": winner.values, **reached})
    if apply:
        apply_values(question.cell, winner.values, question.study)
        print(f"written to {question.cell.config.as_posix()}; `dvc repro` trains the cell again")
