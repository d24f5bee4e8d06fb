"""Helpers of the tests that run studies in this process."""

from dataclasses import replace

import optuna

from hourglass.core.paths import Cell
from hourglass.tuning import study as studies
from hourglass.tuning.storage import open_storage
from hourglass.tuning.worker import Job, work

CELL = Cell("digits", "denoising")
JOB = Job("digits", "denoising", "detection", "default", 2, "none", 0, "a study", "a-command")


def run_study(**changes) -> optuna.Study:
    """Run the trials of a job that differs from JOB, and return the study."""
    job = replace(JOB, **changes)
    job = replace(job, study=job.spec.study_name)
    work(job)
    study = studies.load(job.study, open_storage())
    assert study
    return study


def states(study: optuna.Study) -> list[str]:
    """Return the state of each trial."""
    return [trial.state.name for trial in study.trials]
