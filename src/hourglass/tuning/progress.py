"""What a command sees of a study while others work on it: progress, failures, the record."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from tqdm import tqdm

from hourglass.tracking.recorder import Recorder
from hourglass.tuning import study as studies
from hourglass.tuning.attributes import FAILURE, IDENTITY, WORKER
from hourglass.tuning.best_trial import find_best, trial_record
from hourglass.tuning.storage import open_storage
from hourglass.tuning.study_spec import StudySpec

LATER = 3  # seconds that another command has to record its own trials


@dataclass
class Watch:
    """See which trials of a study have ended, show them, and tell the record of them."""

    question: StudySpec
    names: Sequence[str]  # of the objective's values
    command: str  # whose workers' trials are ours to record
    recorder: Recorder | None
    where: BaseStorage = field(default_factory=open_storage)
    study: optuna.Study | None = None
    seen: set[int] = field(default_factory=set)
    recorded: set[int] = field(default_factory=set)

    def look(self, bar: "tqdm[Any]") -> None:
        """Take note of what has ended since the last look."""
        if not self.study:
            self.study = studies.load(self.question.study_name, self.where)
            if not self.study:
                return  # no worker has found the question in order yet
            self._begin(self.study)
        ended = studies.finished(self.study)
        for trial in ended:
            if trial.number not in self.seen:
                self.seen.add(trial.number)
                _say(trial)
                if trial.user_attrs.get(WORKER, "").endswith(self.command):
                    self._record(trial)
        bar.update(len(ended) - bar.n)
        if not bar.disable and (best := find_best(self.study)):
            bar.set_postfix_str(f"best {best.trial.values[0]:.4g} {best.values}", refresh=False)

    def conclude(self) -> None:
        """Record what killed commands left; those that live have some seconds for their own."""
        if not (self.study and self.recorder):
            return
        if {trial.number for trial in studies.finished(self.study)} - self.recorded:
            time.sleep(LATER)
            for trial in studies.finished(self.study):
                self._record(trial)

    def _begin(self, study: optuna.Study) -> None:
        """Say what a new study asks that an earlier one of the cell did not; open the record."""
        self.seen = {trial.number for trial in studies.finished(study)}
        if not self.seen:
            for name, asked in studies.others(study.study_name, self.where).items():
                changed = ", ".join(self.question.differences(asked))
                tqdm.write(f"a new study: {name} asked otherwise ({changed})", sys.stderr)
        if self.recorder:
            cell, asked = self.question.cell, self.question.settings
            params = {"data": cell.data, "model": cell.model, "seed": str(asked["seed"])}
            params |= {"objective": self.question.objective, "space": self.question.space}
            identity = study.user_attrs[IDENTITY]
            name = study.study_name
            known = self.recorder.ask("open", identity=identity, name=name, params=params)
            self.recorded |= set(known or [])  # of a record that is away all is told again

    def _record(self, trial: FrozenTrial) -> None:
        if self.recorder and trial.number not in self.recorded:
            self.recorded.add(trial.number)
            self.recorder.tell("trial", **trial_record(trial, self.names))


def _say(trial: FrozenTrial) -> None:
    """Say why a trial failed; the study goes on."""
    refusal = trial.user_attrs.get(FAILURE)
    if refusal:
        tqdm.write(f"trial {trial.number} failed: {refusal}", file=sys.stderr)
