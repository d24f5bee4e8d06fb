"""One worker of a study: a process that imports and loads once, and then runs trial after trial.

`hourglass.tune` starts it as `python -m hourglass.tuning.worker`, with a `Job` as JSON. Where the
trainer has several devices, Lightning starts this process once more for each of the other ranks.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import optuna
from optuna.trial import TrialState

from hourglass.data.packed import Prepared
from hourglass.errors import Refusal, one_line
from hourglass.settings import CellSettings, params, resolve_cell
from hourglass.tuning import study as studies
from hourglass.tuning.attributes import REFUSED, WORKER
from hourglass.tuning.killed import retry_killed, worker_name
from hourglass.tuning.question import Question
from hourglass.tuning.storage import locked
from hourglass.workspace import Cell

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from hourglass.tuning.trial import Trials

Pruner: TypeAlias = Literal["median", "hyperband", "none"]
PAUSE = 0.5  # seconds between two looks at a study whose last trials others run


@dataclass(frozen=True)
class Job:
    """What a worker is told: the question, how many trials there are to be, and its own place."""

    data: str
    model: str
    objective: str
    space: str
    trials: int
    pruner: Pruner
    place: int  # among the workers of one command, from 0
    study: str  # its name, which the question gave when the command began
    command: str  # whose worker this is

    @property
    def question(self) -> Question:
        """Return what the study asks."""
        return Question.of(Cell(self.data, self.model), self.objective, self.space)


def work(job: Job) -> None:
    """Run trials until the study has as many as the job says, along with whoever else does.

    Raises a Refusal, before the first trial, for a space or data that leave nothing to search.
    """
    question = job.question
    trials = load_trials(job, question)
    if not trials.ranks.is_global_zero:
        trials.follow()
        return
    start = trials.space.start(trials.settings)
    study = studies.create(job.study, question.asked, trials.objective, start)
    study.pruner = _pruner(job.pruner, trials.settings.training.max_epochs)
    try:
        while len(studies.finished(study)) < job.trials:
            if not run_next(study, trials, job):
                time.sleep(PAUSE)  # others run the last ones, which may yet be killed
    finally:
        trials.ranks.broadcast(None)


def load_trials(job: Job, question: Question) -> "Trials":
    """Return what runs the trials: all is checked, imported and loaded, and the ranks are there."""
    from hourglass.configuration import import_class
    from hourglass.models.base import LitAutoencoder
    from hourglass.stages.calibrate_threshold import make_scorer
    from hourglass.training import fitting
    from hourglass.tuning.objectives import Task
    from hourglass.tuning.space import read_space
    from hourglass.tuning.trial import LoadedData, Trials

    objective, prepared = question.make_objective(), Prepared.open(question.cell.prepared)
    settings = _placed(resolve_cell(question.cell, prepared.sample_shape), job.place)
    kind = import_class(settings.class_path, LitAutoencoder, settings.model)
    space = read_space(question.space_file, kind, settings)
    task = Task(prepared, make_scorer(params().score))
    objective.check(task, space)
    # A trainer that cannot be made would fail trial after trial.
    fitting.make_trainer(settings, Path(tempfile.gettempdir()), None, watching=())
    data = LoadedData(job.data, settings.training.batch_size, settings.seed)
    return Trials(settings, space, objective, task, data, _launch(settings))


def run_next(study: optuna.Study, trials: "Trials", job: Job) -> bool:
    """Run one trial, unless all that are to be have begun; return whether there was one."""
    with ExitStack() as turn:
        turn.enter_context(locked())
        retry_killed(study)
        begun = studies.begun(study)
        if begun >= job.trials and not studies.waiting(study):
            return False

        def objective(trial: optuna.Trial) -> Any:
            asked.append(trial.number)
            trial.set_user_attr(WORKER, worker_name(job.command))
            turn.close()  # the trial is there and has a name: the next worker may ask for another
            return trials(trial)

        asked: list[int] = []
        study.sampler = _sampler(trials.settings.seed * 1_000_003 + begun)
        try:
            study.optimize(objective, n_trials=1, catch=(Refusal,))
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            # Asleep or cut off for longer than the heartbeat's grace: another one has the trial.
            lost = bool(asked) and study.trials[asked[0]].state == TrialState.FAIL
            if not (lost and REFUSED not in study.trials[asked[0]].user_attrs):
                raise
    return True


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of one draw: a study that goes on draws what it would have drawn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _pruner(name: Pruner, max_epochs: int) -> optuna.pruners.BasePruner:
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(max(1, max_epochs // 27), max_epochs)
    if name == "median":
        # Early on, a slow beginning says little of the end.
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max_epochs // 4)
    return optuna.pruners.NopPruner()


def _placed(settings: CellSettings, place: int) -> CellSettings:
    """Return settings whose trainer, where it has one GPU of several, takes this worker's own."""
    import torch

    trainer = settings.trainer
    one_gpu = trainer.get("accelerator") in ("gpu", "cuda", "auto") and trainer.get("devices") == 1
    if not (one_gpu and torch.cuda.is_available()):
        return settings
    return replace(settings, trainer=trainer | {"devices": [place % torch.cuda.device_count()]})


def _launch(settings: CellSettings) -> "Fabric":
    """Return what connects the ranks of every trial; Lightning starts those that are not there.

    Raises a Refusal for a trainer of several machines, which only a launcher could start.
    """
    from lightning_fabric import Fabric

    nodes = settings.trainer.get("num_nodes", 1)
    if nodes > 1:
        raise Refusal(
            f"num_nodes is {nodes}, but a trial is trained on one machine; name another `trainer` "
            "in params.yaml, and let machines share the study by HOURGLASS_OPTUNA_STORAGE."
        )
    given = ("accelerator", "devices", "strategy", "num_nodes")
    try:
        ranks = Fabric(**{key: each for key, each in settings.trainer.items() if key in given})
    except (RuntimeError, ValueError) as error:
        raise Refusal(
            f"Lightning cannot train here ({one_line(error)}); name another `trainer` in "
            "params.yaml."
        ) from None
    ranks.launch()
    return ranks


def main() -> None:
    """Serve one command; the last line of standard output says what was refused, if anything."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends us
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    # Whatever libraries print must not stand in the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    status = 0
    try:
        work(Job(**json.loads(sys.argv[1])))
    except Refusal as refusal:
        print(json.dumps({"refusal": str(refusal)}), file=answer, flush=True)
        status = 1
    sys.stderr.flush()
    os._exit(status)  # all is written; to take torch apart would cost half a second


def _end_with_the_command() -> None:
    """Wait until the other end of standard input is gone, however it went, and go as well."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
