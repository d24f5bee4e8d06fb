"""The record of a study in MLflow: each study and each trial once, whichever command writes it."""

from dataclasses import replace

import mlflow
import optuna
import pytest
from optuna import create_trial
from optuna.trial import FrozenTrial, TrialState

from hourglass.tracking.descriptions import NOTE
from hourglass.tracking.recording import FINISHED
from hourglass.tuning.best_trial import BestTrial
from hourglass.tuning.mlflow_record import StudyRecord, StudyRecorder
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial_attributes import FAILURE, HISTORY, IDENTITY, PARAMS, VALUES
from tests.tracking.misbehaving import misbehaving
from tests.tracking.test_views import state
from tests.tuning.studies import CELL, JOB, run_study


def new_study(identity: str = "an identity") -> optuna.Study:
    study = optuna.create_study(study_name="a study")
    study.set_user_attr(IDENTITY, identity)
    return study


@pytest.fixture
def study(folder) -> optuna.Study:
    return new_study()


def add(study: optuna.Study, state: TrialState = TrialState.COMPLETE, **changes) -> FrozenTrial:
    """Add a trial with one report, after epoch 2."""
    settings = {"value": 0.6, "intermediate_values": {2: 0.5}, **changes}
    study.add_trial(create_trial(state=state, **settings))
    return study.trials[-1]


def open_record(study: optuna.Study) -> StudyRecord:
    """Open the record as another command does."""
    return StudyRecord(study, StudySpec.of(CELL, "detection", None))


def children(record: StudyRecord) -> list[mlflow.entities.Run]:
    return record.runs.find("mlflow.parentRunId", record.run_id)


def history(record: StudyRecord, run_id: str, name: str) -> list[tuple[int, float]]:
    points = record.runs.client.get_metric_history(run_id, name)
    return [(point.step, point.value) for point in points]


def test_two_commands_on_one_study_have_one_run_and_a_child_per_trial(study):
    add(study)
    first, second = open_record(study), open_record(study)
    first.add_trials()
    add(study, TrialState.PRUNED)
    for record in (first, second, open_record(study)):
        record.add_trials()
    assert first.run_id == second.run_id
    names = [run.info.run_name for run in children(first)]
    assert sorted(names) == ["trial 0", "trial 1 (pruned)"]


def test_another_study_of_the_same_name_has_its_own_run(study):
    for one in (study, new_study("another identity")):
        add(one)
        record = open_record(one)
        record.add_trials()
        assert len(children(record)) == 1


def test_the_incomplete_run_of_a_killed_command_is_replaced(study):
    add(study)
    record = open_record(study)
    tags = {"mlflow.parentRunId": record.run_id, "hourglass.trial": f"{record.run_id} 0"}
    record.runs.create("trial 0", tags)
    open_record(study).add_trials()
    (child,) = children(record)
    assert (child.info.status, list(child.data.metrics)) == ("FINISHED", ["tuning/AUROC"])


def test_only_the_present_best_trial_and_front_are_tagged(study, tmp_path):
    drawn = {"latent_dim": 4, "loss": "bce"}
    trials = [add(study, user_attrs={VALUES: drawn}) for _ in range(3)]
    record = open_record(study)
    record.add_trials()
    figure = tmp_path / "history.png"
    figure.write_bytes(b"picture")
    for best in (BestTrial(trials[0], []), BestTrial(trials[2], trials[1:])):
        record.summarize(best, [figure])
    best_tag, front_tag = "hourglass.best", "hourglass.front"
    assert {
        run.info.run_name: run.data.tags.keys() & {best_tag, front_tag} for run in children(record)
    } == {"trial 0": set(), "trial 1": {front_tag}, "trial 2": {best_tag, front_tag}}
    assert [file.path for file in record.runs.client.list_artifacts(record.run_id)] == [figure.name]
    assert history(record, record.run_id, "tuning/AUROC") == [(3, 0.6)]  # written once
    (winner,) = (run for run in children(record) if best_tag in run.data.tags)
    parent = record.runs.client.get_run(record.run_id)
    assert parent.data.metrics == {"tuning/AUROC": 0.6, "best/latent_dim": 4}
    assert f"[trial 2](#/experiments/1/runs/{winner.info.run_id}" in parent.data.tags[NOTE]
    assert "loss bce" in parent.data.tags[NOTE]
    experiment = record.runs.client.get_experiment(record.runs.experiment_id)
    (view,) = (key for key in experiment.tags if "hourglass-trials" in key)
    assert state(experiment.tags[view])["searchFilter"].endswith(f"= '{record.run_id}'")


@pytest.mark.parametrize(
    ("state", "value", "status", "curve"),
    [
        (TrialState.COMPLETE, 0.6, "FINISHED", [(2, 0.5), (1500, 0.6)]),
        (TrialState.PRUNED, 0.5, "FINISHED", [(2, 0.5)]),
        (TrialState.FAIL, None, "FAILED", [(2, 0.5)]),
    ],
)
def test_curves_states_and_times_of_a_trial_are_recorded(study, state, value, status, curve):
    rows = [{"epoch": epoch, "validation_error": 1 / (epoch + 1)} for epoch in range(1500)]
    attributes = {HISTORY: rows, FAILURE: "it diverged."}
    attributes |= {VALUES: {"noise_factor": 1 / 3}}
    attributes |= {PARAMS: {"latent_dim": "4", "noise_factor": str(1 / 3)}}
    trial = add(study, state, value=value, user_attrs=attributes)
    record = open_record(study)
    record.add_trials()
    (child,) = children(record)
    errors = history(record, child.info.run_id, "training/validation_error")
    assert errors == [
        (row["epoch"], pytest.approx(row["validation_error"], rel=1e-4)) for row in rows
    ]
    assert history(record, child.info.run_id, "tuning/AUROC") == curve
    params = {"latent_dim": "4", "noise_factor": "0.33333"}
    times = [int(t.timestamp() * 1000) for t in (trial.datetime_start, trial.datetime_complete)]
    assert [child.info.start_time, child.info.end_time] == times
    assert (child.info.status, child.data.params) == (status, params)
    assert child.data.tags["mlflow.note.content"] == "it diverged."


@pytest.mark.parametrize("behaviour", ["slow", "object"])
def test_a_server_that_misbehaves_does_not_stop_a_study(folder, monkeypatch, capsys, behaviour):
    name = run_study(trials=1).study_name
    (folder / "reports/tune" / name).mkdir(parents=True)
    recorder = StudyRecorder(replace(JOB, study=name))
    monkeypatch.setenv("HOURGLASS_RECORD_SECONDS", "0.5")
    with monkeypatch.context() as patch, misbehaving(behaviour, healthy=True) as uri:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        capsys.readouterr()
        recorder.poll()
        recorder.end(FINISHED)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hourglass: not recorded in MLflow: ")
    assert line.endswith("; `hourglass tune` completes the record.")
    monkeypatch.delenv("HOURGLASS_RECORD_SECONDS")
    recorder.end(FINISHED)
    assert capsys.readouterr().err == ""
    (run,) = recorder.runs.find("mlflow.parentRunId", recorder._record.run_id)
    assert run.info.status == "FINISHED"
