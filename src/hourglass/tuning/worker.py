"""One worker of a study: a process that imports and loads once, and then runs trial after trial.

`hourglass.cli.tune` starts it as `python -m hourglass.tuning.worker`, with a `Job` as JSON. Where the
trainer has several devices, Lightning starts this process once more for each of the other ranks.
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
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.trial import TrialState

from hourglass.core.errors import UserError
from hourglass.tuning import study as studies
from hourglass.tuning.attributes import REFUSED, WORKER
from hourglass.tuning.locks import locked, silent
from hourglass.tuning.retries import retry_killed, worker_name
from hourglass.tuning.retrying_storage import is_away
from hourglass.tuning.worker_job import Job, Pruner

if TYPE_CHECKING:
    from hourglass.tuning.trial import Trials

PAUSE = 0.5  # seconds between two looks at a study whose last trials others run


def work(job: Job) -> None:
    """Run trials until the study has as many as the job says, along with whoever else does.

    Raises a UserError, before the first trial, for a space or data that leave nothing to search.
    """
    from hourglass.tuning.worker_setup import load_trials

    question = job.question
    trials = load_trials(job, question)
    if not trials.ranks.is_global_zero:
        trials.follow()
        return
    start = trials.space.start(trials.settings)
    study = studies.create(job.study, question.asked, trials.objective, start)
    study.pruner = _pruner(job.pruner, trials.settings.training.max_epochs)
    while (found := run_next(study, trials, job)) != "done":
        if found == "waits":
            time.sleep(PAUSE)
    trials.ranks.broadcast(None)  # after a mistake they end with us instead, wherever they wait


def run_next(study: optuna.Study, trials: "Trials", job: Job) -> Literal["ran", "waits", "done"]:
    """Run one trial, unless all that are to be have begun; the last ones may yet be killed."""
    with ExitStack() as turn:
        turn.enter_context(locked())
        retry_killed(study)
        standing = studies.Standing.of(study)
        if standing.begun >= job.trials and not standing.waiting:
            return "waits" if standing.running else "done"

        def objective(trial: optuna.Trial) -> Any:
            asked.append(trial.number)
            trial.set_user_attr(WORKER, worker_name(job.command))
            turn.close()  # the trial is there and has a name: the next worker may ask for another
            return trials(trial)

        asked: list[int] = []
        study.sampler = _sampler(trials.settings.seed * 1_000_003 + standing.begun)
        try:
            study.optimize(objective, n_trials=1, catch=(UserError,))
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            # Asleep or cut off for longer than the heartbeat's grace: another one has the trial.
            own = study.trials[asked[0]] if asked else None
            # Or it ended, and it was the answer to that which got lost.
            if not own or own.state == TrialState.RUNNING or REFUSED in own.user_attrs:
                raise
    return "ran"


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


def main() -> None:
    """Serve one command; the last line of standard output says what was refused, if anything."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends us
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    # Whatever libraries print must not stand in the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    status = 0
    try:
        work(Job(**json.loads(sys.argv[1])))
    except UserError as refusal:
        print(json.dumps({"refusal": str(refusal)}), file=answer, flush=True)
        status = 1
    except Exception as error:
        if is_away(error):
            print(json.dumps({"refusal": str(silent(error))}), file=answer, flush=True)
        else:
            traceback.print_exc()  # the command shows it
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
