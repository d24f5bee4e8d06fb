"""The progress display of a running study: progress bar, best trial and failures."""

import sys
from dataclasses import dataclass, field

import optuna
from optuna.storages import BaseStorage

from hourglass.core.progress_bar import ProgressBar
from hourglass.tuning import study as studies
from hourglass.tuning.best_trial import find_best
from hourglass.tuning.storage import open_storage
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial_attributes import FAILURE, NOTES


@dataclass
class StudyProgress:
    """A progress display of the finished trials of a study."""

    spec: StudySpec
    storage: BaseStorage = field(default_factory=open_storage)
    study: optuna.Study | None = None
    reported: set[int] = field(default_factory=set)  # numbers of the trials shown

    def update(self, bar: ProgressBar) -> None:
        """Show the trials that have finished since the last call, the best one and the time."""
        is_first = not self.study
        if not self.study:
            self.study = studies.load(self.spec.study_name, self.storage)
            if not self.study:
                return  # no worker has created it yet
            for note in self.study.user_attrs.get(NOTES, []):
                ProgressBar.write(note, file=sys.stderr)
            self.reported = {trial.number for trial in studies.finished(self.study)}
            if not self.reported:
                self._compare_with_others()
        ended = studies.finished(self.study)
        if is_first:  # trials of earlier commands do not count for the time left
            bar.initial = bar.n = len(ended)
        for trial in ended:
            if FAILURE in trial.user_attrs and trial.number not in self.reported:
                reason = trial.user_attrs[FAILURE]
                ProgressBar.write(f"trial {trial.number} failed: {reason}", file=sys.stderr)
        self.reported |= {trial.number for trial in ended}
        if (is_first or len(ended) > bar.n) and (best := find_best(self.study)):
            values = ", ".join(
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                for key, value in best.values.items()
            )
            text = f"best {best.trial.values[0]:.4g} with {values}"
            bar.set_postfix_str(text, refresh=False)
        bar.update(len(ended) - bar.n)
        bar.refresh()

    def _compare_with_others(self) -> None:
        """Print the settings in which a new study differs from other studies of the cell."""
        for name, settings in studies.others(self.spec.study_name, self.storage).items():
            changed = ", ".join(self.spec.differences(settings))
            ProgressBar.write(f"a new study: {name} differs in {changed}", sys.stderr)
