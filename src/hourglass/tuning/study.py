"""Studies: create and load them, count their trials, and run killed trials again.

Optuna retries trials that stop sending a heartbeat. This module adds three guarantees:

- A study has exactly the requested number of trials, even if several workers and machines share it
  (Optuna's MaxTrialsCallback overshoots by one trial per worker).
- A trial killed before its first heartbeat runs again (Optuna never considers it stale).
- A study resumes immediately after a process of this machine was killed (Optuna waits until the
  last heartbeat is a minute old).
"""

import os
import socket
import uuid
import warnings
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import optuna
import psutil
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hourglass.tuning.locks import locked
from hourglass.tuning.objectives.base import Objective
from hourglass.tuning.storage import MAX_RETRIES, open_storage, retry_trial
from hourglass.tuning.trial_attributes import FAILURE, IDENTITY, SPEC, WORKER

NO_WORKER_SECONDS = 60  # after which a running trial without a worker counts as killed
CLOCK_TOLERANCE_SECONDS = 60  # for changes of the system clock since a process started
MACHINE = f"{socket.gethostname()}-{uuid.getnode():x}"


def create(
    name: str, spec: dict[str, Any], objective: Objective, start: dict[str, Any]
) -> optuna.Study:
    """Return the study of this name; if it does not exist, create it.

    Its first trial uses `start`, the current settings of the cell.
    """
    storage = open_storage()
    with locked():
        study = optuna.create_study(
            storage=storage, study_name=name, directions=objective.directions, load_if_exists=True
        )
        if SPEC not in study.user_attrs:
            if start:
                study.enqueue_trial(start, skip_if_exists=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(list(objective.names))
            study.set_user_attr(IDENTITY, uuid.uuid4().hex)
            study.set_user_attr(SPEC, spec)
    return study


def load(name: str, storage: BaseStorage) -> optuna.Study | None:
    """Return the study of this name, or None if it does not exist or is being created."""
    with suppress(KeyError):
        study = optuna.load_study(study_name=name, storage=storage)
        return study if SPEC in study.user_attrs else None
    return None


def others(name: str, storage: BaseStorage) -> dict[str, dict[str, Any]]:
    """Return the specifications of the other studies of the same cell and objective, by name."""
    stem = name.rpartition("-")[0]
    names = [other for other in optuna.study.get_all_study_names(storage) if other != name]
    same = [other for other in names if other.rpartition("-")[0] == stem]
    loaded = {other: optuna.load_study(study_name=other, storage=storage) for other in same}
    return {other: study.user_attrs.get(SPEC, {}) for other, study in loaded.items()}


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the final trials, without killed trials that run again."""
    return [trial for trial in study.get_trials(deepcopy=False) if is_final(trial)]


def is_final(trial: FrozenTrial) -> bool:
    """Return whether a trial is complete, pruned, failed in training, or out of retries."""
    if trial.state == TrialState.FAIL:
        retries = len(trial.system_attrs.get("retry_history", []))
        return FAILURE in trial.user_attrs or retries >= MAX_RETRIES
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def count(study: optuna.Study) -> tuple[int, int, int]:
    """Return the numbers of finished, running and waiting trials.

    The first trial of a study and killed trials that run again wait for a worker. The sum of the
    three numbers never exceeds the requested number of trials, because a retry replaces a killed
    trial. All three come from a single read, which takes about 10 ms.
    """
    trials = study.get_trials(deepcopy=False)
    states = [trial.state for trial in trials]
    running, waiting = states.count(TrialState.RUNNING), states.count(TrialState.WAITING)
    return sum(map(is_final, trials)), running, waiting


def worker_name(command: str) -> str:
    """Return a name for this process, a worker of `command`, unique across machines."""
    return f"{MACHINE} {os.getpid()} {psutil.Process().create_time():.0f} {command}"


def retry_killed(study: optuna.Study) -> None:
    """Fail the trials whose process was killed, and enqueue them again.

    The caller must hold the lock, so that no worker has created a trial without storing its name.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if _was_killed(trial):
            study.tell(trial.number, state=TrialState.FAIL)
            retry_trial(study, trial)


def _was_killed(trial: FrozenTrial) -> bool:
    """Return whether the process of a running trial has certainly ended."""
    worker = trial.user_attrs.get(WORKER)
    if worker is None:
        start = trial.datetime_start
        return start is None or datetime.now() - start > timedelta(seconds=NO_WORKER_SECONDS)
    machine, pid, created, _ = worker.split(" ")
    if machine != MACHINE:
        return False  # Optuna's heartbeat detects processes killed on other machines
    try:
        process = psutil.Process(int(pid))
        reused_pid = abs(process.create_time() - float(created)) > CLOCK_TOLERANCE_SECONDS
        return reused_pid or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
