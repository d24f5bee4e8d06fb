"""A worker of a study: a process that loads libraries and data once and runs many trials.

`worker_pool` starts it as `python -m hourglass.tuning.worker` with a `Job` as JSON. If the trainer
has several devices, Lightning starts the same command once for each of the other ranks.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import optuna

from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import Cell
from hourglass.tuning import study as studies
from hourglass.tuning.locks import locked, no_response
from hourglass.tuning.storage import is_unreachable
from hourglass.tuning.study_spec import Pruner, StudySpec
from hourglass.tuning.trial_attributes import FAILURE, WORKER

if TYPE_CHECKING:
    from hourglass.tuning.trial import Trials

PAUSE_SECONDS = 0.5  # between two reads of a study while other workers finish its last trials
REJECTED = 2  # exit status after a UserError, which is then the last line of standard output


@dataclass(frozen=True)
class Job:
    """The arguments of a worker."""

    data: str
    model: str
    objective: str
    space: str
    trials: int  # total number of trials of the study
    pruner: Pruner
    index: int  # index of this worker among those of the command, from 0
    study: str  # the name of the study, fixed when the command starts
    command: str  # identifies the command that started this worker

    @property
    def spec(self) -> StudySpec:
        """Return the specification of the study."""
        return StudySpec.of(Cell(self.data, self.model), self.objective, self.space)


def work(job: Job) -> None:
    """Run trials, together with other workers, until the study has the job's number of trials.

    Raises a UserError before the first trial if settings, search space or data are not suitable.
    """
    from hourglass.tuning.trial import load_trials

    spec = job.spec
    trials = load_trials(spec, job.index)
    if not trials.ranks.is_global_zero:
        trials.follow_rank_zero()
        return
    first = trials.space.nearest(trials.settings)
    notes = trials.space.notes
    study = studies.create(job.study, spec.settings, trials.objective, first, notes)
    study.pruner = _pruner(job.pruner, trials.settings.training.max_epochs)
    while (status := run_next(study, trials, job)) != "done":
        if status == "waits":
            time.sleep(PAUSE_SECONDS)
    trials.ranks.broadcast(None)  # end the other ranks; after an error, they are killed instead


def run_next(study: optuna.Study, trials: "Trials", job: Job) -> Literal["ran", "waits", "done"]:
    """Run one trial, unless enough trials have started.

    Returns "waits" if enough trials have started but some are still running, because a trial must
    run again if its worker is killed. Returns "done" if all have finished.
    """
    with ExitStack() as lock:
        lock.enter_context(locked())
        studies.retry_killed(study)
        finished, running, waiting = studies.count(study)
        started = finished + running + waiting
        if started >= job.trials and not waiting:
            return "waits" if running else "done"
        current: list[optuna.Trial] = []

        def objective(trial: optuna.Trial) -> Any:
            current.append(trial)
            storage: Any = trial.storage
            # Only a trial with a heartbeat can become stale.
            storage.record_heartbeat(trial._trial_id)
            trial.set_user_attr(WORKER, f"{job.command} {job.index}")
            lock.close()  # lets another worker start a trial
            return _run(trials, trial)

        study.sampler = _sampler(trials.settings.seed * 1_000_003 + started)
        try:
            # Unlike study.ask and study.tell, `optimize` sends the heartbeat of the trial.
            study.optimize(objective, n_trials=1, catch=(UserError,))
        except Exception as error:
            lock.close()
            interrupted = current and _retry_if_interrupted(study, current[0].number, error)
            # With several ranks, this one must exit: the others may wait for it in the training.
            if not interrupted or trials.ranks.world_size > 1:
                raise
    return "ran"


def _retry_if_interrupted(study: optuna.Study, number: int, error: Exception) -> bool:
    """Return whether a trial was interrupted rather than failed; it then runs again."""
    if is_unreachable(error):  # the connection broke during a query
        with locked():
            studies.retry(study, study.trials[number])
        return True
    trial = study.trials[number]
    # After a suspension longer than the grace period, another process runs the trial.
    taken_over = isinstance(error, ValueError | optuna.exceptions.UpdateFinishedTrialError)
    return taken_over and trial.state.is_finished() and FAILURE not in trial.user_attrs


def _run(trials: "Trials", trial: optuna.Trial) -> Any:
    """Run a trial; if training fails, store the reason, so that the trial is not retried.

    An error other than a UserError is a bug and ends this worker.
    """
    from torch import OutOfMemoryError

    try:
        return trials(trial)
    except optuna.TrialPruned:
        raise
    except Exception as error:
        if is_unreachable(error):
            raise
        trial.set_user_attr(FAILURE, str(error) or type(error).__name__)
        if isinstance(error, OutOfMemoryError) and trials.ranks.world_size == 1:
            raise UserError(f"out of memory: {one_line(error)}.") from None
        raise


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    """Return a sampler for one trial; the seed makes a resumed study draw the same values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _pruner(name: Pruner, max_epochs: int) -> optuna.pruners.BasePruner:
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(max(1, max_epochs // 27), max_epochs)
    if name == "median":
        # The first epochs hardly predict the final value.
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max_epochs // 4)
    return optuna.pruners.NopPruner()


def main() -> None:
    """Run the job in sys.argv; print a UserError and exit with the status REJECTED."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C, the command kills this process
    threading.Thread(target=_exit_with_command, daemon=True).start()
    output, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    status = 0
    try:
        work(Job(**json.loads(sys.argv[1])))
    except Exception as error:
        message = no_response(error) if is_unreachable(error) else error
        if isinstance(message, UserError):
            status = REJECTED
            print(" ".join(str(message).split()), file=output, flush=True)
        else:
            status = 1
            traceback.print_exc()  # the command prints standard error
    sys.stderr.flush()
    os._exit(status)  # unloading torch would take half a second


def _exit_with_command() -> None:
    """Exit when the command ends or is killed, which closes standard input."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
