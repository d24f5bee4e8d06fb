"""What becomes of trials whose process was killed: they run again, as another trial, once each."""

import copy
import os
import socket
import uuid
import warnings
from datetime import datetime, timedelta

import optuna
import psutil
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from hourglass.tuning.attributes import REFUSED, VALUES, WORKER

RETRIES = 5  # of a trial whose process is killed every time
NAMELESS = 60  # seconds after which a trial without a worker has none
SLACK = 60  # seconds by which clocks may have been set since a process began
MACHINE = f"{socket.gethostname()}-{uuid.getnode():x}"

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ExperimentalWarning)
    _again = RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)


def worker_name(command: str) -> str:
    """Return what names this process, a worker of a command, among all of all machines."""
    return f"{MACHINE} {os.getpid()} {psutil.Process().create_time():.0f} {command}"


def given_up(trial: FrozenTrial) -> bool:
    """Return whether a killed trial was the last retry."""
    history = trial.system_attrs.get("retry_history", [])
    return trial.state == TrialState.FAIL and len(history) >= RETRIES


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Have a killed trial run again with its values, unless it had failed by itself before."""
    drawn = VALUES in trial.user_attrs or "fixed_params" in trial.system_attrs
    # One that was killed while it was drawn is no trial yet: the next draw gives the same values.
    if REFUSED not in trial.user_attrs and drawn:
        trial = copy.deepcopy(trial)
        trial.user_attrs = {}  # nothing of what the killed process noted
        _again(study, trial)


def retry_killed(study: optuna.Study) -> None:
    """Fail the trials whose process is gone, and have them run again.

    Optuna finds silent ones anywhere by their heartbeat; those of this machine are found by their
    process, at once. Call it under the lock: nobody then stands between asking for a trial and
    naming its worker.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _dead(trial):
            study.tell(trial.number, state=TrialState.FAIL)
            retry(study, trial)


def _dead(trial: FrozenTrial) -> bool:
    """Return whether the process of a running trial is known to be gone."""
    worker = trial.user_attrs.get(WORKER)
    if worker is None:
        begin = trial.datetime_start
        return begin is None or datetime.now() - begin > timedelta(seconds=NAMELESS)
    machine, pid, created, _ = worker.split(" ")
    if machine != MACHINE:
        return False
    try:
        process = psutil.Process(int(pid))
        other = abs(process.create_time() - float(created)) > SLACK
        return other or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
