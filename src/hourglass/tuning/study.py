"""The study itself: how it is opened, and which of its trials count."""

import uuid
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from hourglass.tuning.attributes import ASKED, IDENTITY, REFUSED
from hourglass.tuning.locks import locked
from hourglass.tuning.objectives.base import Objective
from hourglass.tuning.retries import given_up
from hourglass.tuning.storage import open_storage


def create(
    name: str, asked: dict[str, Any], objective: Objective, start: dict[str, Any]
) -> optuna.Study:
    """Return the study of this name, made where it is not there yet.

    Its first trial is to be `start`, the cell's own settings.
    """
    where = open_storage()
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
            study.set_user_attr(IDENTITY, uuid.uuid4().hex)
            study.set_user_attr(ASKED, asked)
    return study


def load(name: str, where: RDBStorage) -> optuna.Study | None:
    """Return the study of this name, or None where there is none, or not all of it yet."""
    with suppress(KeyError):
        study = optuna.load_study(study_name=name, storage=where)
        return study if ASKED in study.user_attrs else None
    return None


def others(name: str, where: RDBStorage) -> dict[str, dict[str, Any]]:
    """Return what other studies of the same cell and objective ask, by their names."""
    stem = name.rpartition("-")[0]
    names = [each for each in optuna.study.get_all_study_names(where) if each != name]
    same = [each for each in names if each.rpartition("-")[0] == stem]
    loaded = {each: optuna.load_study(study_name=each, storage=where) for each in same}
    return {each: study.user_attrs.get(ASKED, {}) for each, study in loaded.items()}


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count: complete, pruned, or failed by themselves, none twice."""
    return [trial for trial in study.get_trials(deepcopy=False) if counts(trial)]


def counts(trial: FrozenTrial) -> bool:
    """Return whether a trial has ended for good; a killed one runs again as another."""
    failed = trial.state == TrialState.FAIL and REFUSED in trial.user_attrs
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or failed or given_up(trial)


@dataclass(frozen=True)
class Standing:
    """How far a study is, at one look: each costs a trial of a second a hundredth of it."""

    finished: int  # trials that count
    running: int
    waiting: int  # for a worker: the first one, or those that were killed

    @classmethod
    def of(cls, study: optuna.Study) -> "Standing":
        """Look at a study."""
        trials = study.get_trials(deepcopy=False)
        states = [trial.state for trial in trials]
        open_states = (states.count(each) for each in (TrialState.RUNNING, TrialState.WAITING))
        return cls(sum(map(counts, trials)), *open_states)

    @property
    def begun(self) -> int:
        """Return how many have ended, run or wait; a retry takes the place of the killed."""
        return self.finished + self.running + self.waiting
