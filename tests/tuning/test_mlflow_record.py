"""The record of a study in MLflow: each study and each trial once, whichever command writes it."""

import mlflow
import optuna
import pytest
from optuna import create_trial
from optuna.trial import FrozenTrial, TrialState

from hourglass.tracking.runs import Runs
from hourglass.tuning.best_trial import BestTrial
from hourglass.tuning.mlflow_record import StudyRecord
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial_attributes import FAILURE, HISTORY, IDENTITY, PARAMS
from tests.tuning.studies import CELL

NAMES = ["tuning_AUROC"]


def new_study(identity: str = "an identity") -> optuna.Study:
    study = optuna.create_study(study_name="a study")
    study.set_user_attr(IDENTITY, identity)
    return study


def open_record(study: optuna.Study) -> StudyRecord:
    """Open the record as another command does."""
    return StudyRecord(study, StudySpec.of(CELL, "detection", None))


def add(study: optuna.Study, state: TrialState = TrialState.COMPLETE, **changes) -> FrozenTrial:
    """Add a trial with one report, after epoch 2."""
    settings = {"value": 0.6, "intermediate_values": {2: 0.5}, **changes}
    study.add_trial(create_trial(state=state, **settings))
    return study.trials[-1]


@pytest.fixture
def study(folder) -> optuna.Study:
    return new_study()


def children(run_id: str, folder) -> list[mlflow.entities.Run]:
    return Runs(folder).find("mlflow.parentRunId", run_id)


def history(run_id: str, name: str, folder) -> list[tuple[int, float]]:
    points = Runs(folder).client.get_metric_history(run_id, name)
    return [(point.step, point.value) for point in points]


def test_two_commands_on_one_study_have_one_run_and_a_child_per_trial(study, folder):
    add(study)
    first, second = open_record(study), open_record(study)
    first.add_trials()
    add(study, TrialState.PRUNED)
    for record in (first, second, open_record(study)):
        record.add_trials()
    names = [run.info.run_name for run in children(first.run_id, folder)]
    assert first.run_id == second.run_id
    assert sorted(names) == ["trial 0", "trial 1 (pruned)"]


def test_another_study_of_the_same_name_has_its_own_run(study, folder):
    for one in (study, new_study("another identity")):
        add(one)
        record = open_record(one)
        record.add_trials()
        assert len(children(record.run_id, folder)) == 1


def test_the_incomplete_run_of_a_killed_command_is_replaced(study, folder):
    add(study)
    record = open_record(study)
    tags = {"mlflow.parentRunId": record.run_id, "hourglass.trial": f"{record.run_id} 0"}
    record.runs.create("trial 0", tags)
    open_record(study).add_trials()
    (child,) = children(record.run_id, folder)
    assert (child.info.status, list(child.data.metrics)) == ("FINISHED", NAMES)


def test_only_the_present_best_trial_and_front_are_tagged(study, folder, tmp_path):
    trials = [add(study) for _ in range(3)]
    record = open_record(study)
    record.add_trials()
    figure = tmp_path / "history.png"
    figure.write_bytes(b"picture")
    for best in (BestTrial(trials[0], []), BestTrial(trials[2], trials[1:])):
        record.summarize(best, [figure])
    tags = {
        run.info.run_name: run.data.tags.keys() & {"hourglass.best", "hourglass.front"}
        for run in children(record.run_id, folder)
    }
    best, front = "hourglass.best", "hourglass.front"
    assert tags == {"trial 0": set(), "trial 1": {front}, "trial 2": {best, front}}
    assert [file.path for file in record.runs.client.list_artifacts(record.run_id)] == [figure.name]
    assert history(record.run_id, NAMES[0], folder) == [(3, 0.6)]  # written once


@pytest.mark.parametrize(
    ("state", "status", "curve"),
    [
        (TrialState.COMPLETE, "FINISHED", [(2, 0.5), (1500, 0.6)]),
        (TrialState.PRUNED, "KILLED", [(2, 0.5)]),
        (TrialState.FAIL, "FAILED", [(2, 0.5)]),
    ],
)
def test_curves_states_and_times_of_a_trial_are_recorded(study, folder, state, status, curve):
    rows = [{"epoch": epoch, "validation_error": 1 / (epoch + 1)} for epoch in range(1500)]
    attributes = {HISTORY: rows, PARAMS: {"latent_dim": "4"}, FAILURE: "it diverged."}
    value = None if state == TrialState.FAIL else 0.6
    trial = add(study, state, value=value, user_attrs=attributes)
    record = open_record(study)
    record.add_trials()
    (child,) = children(record.run_id, folder)
    errors = history(child.info.run_id, "validation_error", folder)
    assert errors == [(row["epoch"], row["validation_error"]) for row in rows]
    assert history(child.info.run_id, NAMES[0], folder) == curve
    times = [int(t.timestamp() * 1000) for t in (trial.datetime_start, trial.datetime_complete)]
    assert [child.info.start_time, child.info.end_time] == times
    assert (child.info.status, child.data.params) == (status, {"latent_dim": "4"})
    assert child.data.tags["mlflow.note.content"] == "it diverged."
