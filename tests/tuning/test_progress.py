"""The progress of a study: finished trials, the best one, and the time left."""

from types import SimpleNamespace

import optuna
import pytest

from hourglass.core.progress_bar import ProgressBar
from hourglass.tuning import progress, study
from hourglass.tuning.trial_attributes import FAILURE, SPEC, VALUES

NAME = "digits-denoising-detection-0"


@pytest.fixture
def running() -> optuna.Study:
    """Give a study with two finished trials of an earlier command."""
    made = optuna.create_study(storage=optuna.storages.InMemoryStorage(), study_name=NAME)
    made.set_user_attr(SPEC, {})
    for value in (0.5, 0.25):
        finish(made, value)
    return made


def finish(running: optuna.Study, value: float) -> None:
    trial = running.ask()
    trial.set_user_attr(VALUES, {"latent_dim": 8, "noise_factor": value})
    running.tell(trial, value)


def test_the_line_of_a_study_has_trials_best_value_and_time_left(running, capsys, monkeypatch):
    monkeypatch.setattr(study, "load", lambda name, storage: running)
    shown = progress.StudyProgress(SimpleNamespace(study_name=NAME), running._storage)
    with ProgressBar(desc="study", total=6, unit=" trials") as bar:
        shown.update(bar)
        assert (
            bar._refreshed()
            == "study: 2 of 6 trials, 00:00, best 0.25 with latent_dim 8, noise_factor 0.25"
        )
        finish(running, 0.123456)
        failed = running.ask()
        failed.set_user_attr(FAILURE, "the loss became nan")
        running.tell(failed, state=optuna.trial.TrialState.FAIL)
        shown.update(bar)
        line = bar._refreshed()
    assert line.startswith("study: 4 of 6 trials, 00:00, about ")
    assert line.endswith("left, best 0.1235 with latent_dim 8, noise_factor 0.1235")
    assert "trial 3 failed: the loss became nan" in capsys.readouterr().err
