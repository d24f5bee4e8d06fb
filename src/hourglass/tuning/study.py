"""Studies: create and load them, count their trials, and run killed trials again.

Optuna retries trials that stop sending a heartbeat. This module adds two guarantees:

- A study has exactly the requested number of trials, even if several workers and machines share it
  (Optuna's MaxTrialsCallback overshoots by one trial per worker).
- A trial killed before its first heartbeat runs again (Optuna never considers it stale).
"""

import uuid
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hourglass.tuning.locks import locked
from hourglass.tuning.objectives.base import Objective
from hourglass.tuning.storage import MAX_RETRIES, open_storage, retry_trial
from hourglass.tuning.trial_attributes import FAILURE, IDENTITY, NOTES, SPEC, WORKER

RETRIES = "retry_history"  # Optuna's attribute: the numbers of the trials that a trial repeats


def create(
    name: str,
    spec: dict[str, Any],
    objective: Objective,
    first: dict[str, Any],
    notes: Sequence[str] = (),
) -> optuna.Study:
    """Return the study of this name; if it does not exist, create it.

    Its first trial has the parameters `first`, the current settings of the cell. `notes` are those
    of the search space.
    """
    storage = open_storage()
    with locked():
        study = optuna.create_study(
            storage=storage, study_name=name, directions=objective.directions, load_if_exists=True
        )
        if SPEC not in study.user_attrs:
            if first:
                study.enqueue_trial(first, skip_if_exists=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(list(objective.names))
            study.set_user_attr(IDENTITY, uuid.uuid4().hex)
            study.set_user_attr(NOTES, list(notes))
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
    return {
        other: optuna.load_study(study_name=other, storage=storage).user_attrs.get(SPEC, {})
        for other in optuna.study.get_all_study_names(storage)
        if other != name and other.rpartition("-")[0] == stem
    }


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the final trials, without killed trials that run again."""
    return [trial for trial in study.get_trials(deepcopy=False) if is_final(trial)]


def is_final(trial: FrozenTrial) -> bool:
    """Return whether a trial is complete, pruned, failed in training, or out of retries."""
    if trial.state == TrialState.FAIL:
        retries = len(trial.system_attrs.get(RETRIES, []))
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


def retry_killed(study: optuna.Study, ended_command: str = "") -> None:
    """Fail the trials whose process was killed, and enqueue them again.

    These are the trials without a recent heartbeat, those of the workers of `ended_command`, and
    those without a worker: a worker keeps the lock until the trial has its name. The caller must
    hold the lock.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        command = trial.user_attrs.get(WORKER, "").split(" ")[0]
        if command in ("", ended_command):
            retry(study, trial)


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Fail a trial that was interrupted, and enqueue it again, unless it ended or was enqueued.

    Another worker may have enqueued it, or the database may have stored its end before the
    connection broke. The caller must hold the lock.
    """
    trials = study.get_trials(deepcopy=False)
    enqueued = any(trial.number in other.system_attrs.get(RETRIES, []) for other in trials)
    if enqueued or trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        return
    if not trial.state.is_finished():
        study.tell(trial.number, state=TrialState.FAIL)
    retry_trial(study, trial)
