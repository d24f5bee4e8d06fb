"""Command `tune`: search the hyperparameters of one cell with an Optuna study."""

import json
import os
import uuid
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from hourglass.core.atomic import atomic_folder, write_json
from hourglass.core.errors import UserError
from hourglass.core.paths import STUDIES, Cell
from hourglass.core.settings import data_config, model_config
from hourglass.data.prepared_data import Prepared
from hourglass.tuning.objectives import unlabelled_objective
from hourglass.tuning.study_spec import Pruner, StudySpec


def tune(
    data: str,
    model: str,
    trials: int | None = None,
    objective: str | None = None,
    space: str | None = None,
    pruner: Pruner = "median",
    workers: int = 1,
    mlflow: bool = True,
    apply: bool = False,
    show: bool = False,
    out: Path | None = None,
) -> None:
    """Search the bottleneck, the noise level and other hyperparameters of one cell.

    The study is stored in ./optuna.db or HOURGLASS_OPTUNA_STORAGE; the same command resumes it. A
    change of objective, search space, data set, code or fixed setting starts a new study. The test
    split is not used.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        trials: total number of trials of the study, including those of earlier runs (default: 50;
            with --apply or --show no new trials)
        objective: value to optimise, by the name of a file in configs/tune/objective (default:
            detection, or without labelled anomalies synthetic_defects for images and synthetic for
            other data)
        space: search space, by the name of a file in configs/tune/space (default: the name of the
            data set if that file exists, otherwise `default`, whose ranges are cut to what the
            variant accepts on the data)
        pruner: method that stops unpromising trials early
        workers: number of processes that run trials at the same time
        mlflow: log the study and its trials to MLflow
        apply: write the best values to configs/cell/<data>-<model>.yaml, for `dvc repro`
        show: print the study and run no trials
        out: JSON file to write, with the best hyperparameters and their objective values

    Examples:
        hourglass tune digits denoising --trials 30 --workers 2
        hourglass tune digits denoising --apply

    """
    _check_arguments(trials, workers, show, out)
    cell = Cell(data, model)
    data_config(data)
    model_config(model)
    prepared = Prepared.open(cell.prepared)
    spec = StudySpec.of(cell, objective or _default_objective(prepared), space)
    if trials is None and not (apply or show):
        trials = 50
    if trials:
        _search(spec, trials, pruner, workers, mlflow)
    _conclude(spec, apply, out)


def _default_objective(prepared: Prepared) -> str:
    """Return the objective that suits the tuning split, and say so if it holds no anomalies."""
    card = prepared.card
    if card["splits"]["tuning"]["anomalies"]:
        return "detection"
    objective = unlabelled_objective(prepared.sample_shape)
    print(
        f"the tuning split of {card['data']} holds no anomalies, so the objective is {objective}: "
        "the separation of normal samples from anomalies made of them"
    )
    return objective


def _check_arguments(trials: int | None, workers: int, show: bool, out: Path | None) -> None:
    """Raise a UserError for invalid arguments, before any work."""
    if workers < 1:
        raise UserError(f"workers is {workers}, but must be at least 1.")
    if trials is not None and (trials < 1 or show):
        reason = "must be at least 1" if trials < 1 else "--show runs none"
        raise UserError(f"trials is {trials}, but {reason}.")
    if out and out.is_dir():
        raise UserError(f"out is {out}, which is a folder; name a file in it.")
    if any(int(os.environ.get(name) or 1) > 1 for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")):
        raise UserError(
            "a launcher started several processes, but tune starts its own; run it without a "
            "launcher, and set `devices` in configs/trainer to train each trial on several devices."
        )


def _search(spec: StudySpec, trials: int, pruner: Pruner, workers: int, mlflow: bool) -> None:
    """Run the missing trials, draw the study, and record it in MLflow."""
    from hourglass.tracking.recording import RecordingProcess
    from hourglass.tuning.best_trial import need_best
    from hourglass.tuning.figures import draw_study
    from hourglass.tuning.locks import locked
    from hourglass.tuning.progress import StudyProgress
    from hourglass.tuning.study_file import STUDY_FILE, write_study
    from hourglass.tuning.worker import Job
    from hourglass.tuning.worker_pool import RESUME_HINT, run

    cell, names, command = spec.cell, spec.make_objective().names, uuid.uuid4().hex
    settings = (spec.objective, spec.space, trials, pruner)
    job = Job(cell.data, cell.model, *settings, index=0, study=spec.study_name, command=command)
    module, text = "hourglass.tuning.mlflow_record", json.dumps(asdict(job))
    recorder = (
        RecordingProcess(module, text, completing_command="hourglass tune")
        if mlflow
        else nullcontext()
    )
    try:
        with recorder:
            progress = StudyProgress(spec)
            run(job, workers, progress)
            best = need_best(progress.study, spec.study_name)
            assert progress.study
            folder = STUDIES / spec.study_name
            with locked("figures"), atomic_folder(folder) as temporary:
                draw_study(progress.study, names, best, temporary)
                write_study(temporary / STUDY_FILE, progress.study, spec, names, best)
    except KeyboardInterrupt:
        raise UserError(f"stopped; {RESUME_HINT}") from None


def _conclude(spec: StudySpec, apply: bool, out: Path | None) -> None:
    """Print the study, and write its best values to the requested files."""
    from hourglass.tuning import study as studies
    from hourglass.tuning.apply import apply_values
    from hourglass.tuning.best_trial import describe, need_best
    from hourglass.tuning.storage import open_storage, storage_exists

    names, name = spec.make_objective().names, spec.study_name
    storage = open_storage() if storage_exists() else None
    study = studies.load(name, storage) if storage else None
    if storage and not study:
        for other, settings in studies.others(name, storage).items():
            print(f"study {other} differs in: {', '.join(spec.differences(settings))}")
    best = need_best(study, name)
    assert study
    print(describe(study, names))
    if out:
        results = dict(zip(names, best.trial.values, strict=True))
        write_json(out, {"study": name, "values": best.values, **results})
    if apply:
        print(apply_values(spec.cell, best.values, name))
