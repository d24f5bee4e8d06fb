"""The study in its storage: how many trials count, and what becomes of those that were killed."""

import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import optuna
import psutil
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from hourglass.errors import Refusal, one_line
from hourglass.tuning.objectives.base import Objective
from hourglass.workspace import root

HEARTBEAT, GRACE = 5, 60  # seconds between two signs of life, and after which there is none
RETRIES = 5  # of a trial whose process was killed
REFUSED = "refusal"  # trial attribute: why its training failed by itself, such as by diverging
WORKER = "worker"  # trial attribute: the process that runs it
ASKED = "asked"  # study attribute: what it asks

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ExperimentalWarning)
    _retry = RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)


def storage() -> RDBStorage:
    """Return the storage: HOURGLASS_OPTUNA_STORAGE, or optuna.db at the project's root.

    Raises a Refusal where it cannot be opened.
    """
    url = (
        os.environ.get("HOURGLASS_OPTUNA_STORAGE")
        or f"sqlite:///{(root() / 'optuna.db').as_posix()}"
    )
    # Other workers write as well: wait a minute for them, not sqlite's 5 seconds.
    options = (
        {"connect_args": {"timeout": 60}} if url.startswith("sqlite:") else {"pool_pre_ping": True}
    )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            with locked():  # two at once would each create the tables
                return RDBStorage(
                    url,
                    engine_kwargs=options,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                    heartbeat_stale_trial_callback=_retry,
                )
        except Exception as error:  # SQLAlchemy's, the driver's, or a missing driver
            raise Refusal(
                f"the Optuna storage {_without_password(url)} cannot be opened "
                f"({one_line(error)}); mend HOURGLASS_OPTUNA_STORAGE, or unset it for ./optuna.db."
            ) from None


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock by which the workers of this machine take turns."""
    with FileLock(root() / "optuna.db.lock"):
        yield


def create(
    name: str, asked: dict[str, Any], objective: Objective, start: dict[str, Any]
) -> optuna.Study:
    """Return the study of this name, made where it is not there yet.

    Its first trial is to be `start`, the cell's own settings.
    """
    where = storage()
    with locked():
        study = optuna.create_study(
            storage=where, study_name=name, directions=objective.directions, load_if_exists=True
        )
        if ASKED not in study.user_attrs:
            if start:
                study.enqueue_trial(start, skip_if_exists=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(list(objective.names))
            study.set_user_attr(ASKED, asked)
    return study


def load(name: str, where: RDBStorage) -> optuna.Study | None:
    """Return the study of this name, or None where there is none."""
    with suppress(KeyError):
        return optuna.load_study(study_name=name, storage=where)
    return None


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count: complete, pruned, or failed by themselves, none twice."""
    return [trial for trial in study.get_trials(deepcopy=False) if counts(trial)]


def counts(trial: FrozenTrial) -> bool:
    """Return whether a trial has ended by itself; a killed one runs again as another."""
    done = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return done or (trial.state == TrialState.FAIL and REFUSED in trial.user_attrs)


def begun(study: optuna.Study) -> int:
    """Return how many trials have ended, run, or wait; a retry takes the place of the killed."""
    open_states = (TrialState.RUNNING, TrialState.WAITING)
    trials = study.get_trials(deepcopy=False)
    return sum(trial.state in open_states or counts(trial) for trial in trials)


def waiting(study: optuna.Study) -> bool:
    """Return whether a trial waits for a worker: the first one, or one that was killed."""
    return bool(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))


def retry_killed(study: optuna.Study) -> None:
    """Fail the trials whose process is gone, and have them run again with the same values.

    Optuna finds silent ones anywhere by their heartbeat; those of this machine by their process,
    at once. Call it under the lock: between a trial's beginning and its sign of life stands nobody.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _dead(trial):
            study.tell(trial.number, state=TrialState.FAIL)
            _retry(study, trial)


def worker_name() -> str:
    """Return what names this process among all of all machines, at all times."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.2f}"


def _dead(trial: FrozenTrial) -> bool:
    """Return whether the process of a running trial is known to be gone."""
    worker = trial.user_attrs.get(WORKER)
    if worker is None:  # killed before it could say its name
        begin = trial.datetime_start
        return begin is None or datetime.now() - begin > timedelta(seconds=GRACE)
    host, pid, created = worker.split(" ")
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        alive = f"{process.create_time():.2f}" == created
        return not alive or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else url
