"""The record of a study in MLflow: each study and each trial once, whichever command writes it."""

import mlflow
import pytest

from hourglass.tracking.runs import Runs
from hourglass.tuning.mlflow_record import StudyRecord

PARAMS = {"data": "digits", "model": "denoising"}
TIMES = (1_700_000_000_000, 1_700_000_001_000)


@pytest.fixture
def open_record(stage_folder):
    """Give a function that opens the record of a study once more, as another command does."""

    def make(identity: str = "an identity") -> StudyRecord:
        return StudyRecord(Runs(stage_folder), identity, "a study", PARAMS)

    return make


def add(record: StudyRecord, number: int, state: str = "COMPLETE") -> None:
    curves = {"tuning_AUROC": [(2, 0.5), (4, 0.6 + number / 100)]}
    record.add_trial(number, state, {"latent_dim": "4"}, curves, TIMES, "")


def all_runs(record: StudyRecord) -> list[mlflow.entities.Run]:
    return list(record.runs.client.search_runs([record.runs.experiment_id]))


def children(record: StudyRecord) -> list[mlflow.entities.Run]:
    runs = all_runs(record)
    return [run for run in runs if "mlflow.parentRunId" in run.data.tags]


def test_two_commands_on_one_study_have_one_run_and_a_child_per_trial(open_record):
    first = open_record()
    assert first.recorded == set()
    add(first, 0)
    second = open_record()
    assert second.recorded == {0}
    for record in (first, second):
        add(record, 0)
        add(record, 1, "PRUNED")
    assert first.run_id == second.run_id
    assert sorted(run.info.run_name for run in children(first)) == ["trial 0", "trial 1 (pruned)"]
    assert len(all_runs(first)) == 3


def test_another_study_of_the_same_name_has_its_own_run(open_record):
    record, other = open_record(), open_record("another identity")
    add(record, 0)
    assert other.recorded == set()
    add(other, 0)
    assert len(children(record)) == 2


def test_the_incomplete_run_of_a_killed_command_is_replaced(open_record):
    record = open_record()
    tags = {"mlflow.parentRunId": record.run_id, "hourglass.trial": f"{record.run_id} 0"}
    record.runs.create("trial 0", tags)
    again = open_record()
    assert again.recorded == set()
    add(again, 0)
    (child,) = children(record)
    assert child.info.status == "FINISHED"
    assert child.data.metrics["tuning_AUROC"] == 0.6


def test_only_the_present_best_trial_and_front_are_tagged(open_record, tmp_path):
    record = open_record()
    for number in range(3):
        add(record, number)
    figure = tmp_path / "history.png"
    figure.write_bytes(b"picture")
    for best, front in ((0, []), (2, [1, 2])):
        record.summarize(best, front, {"tuning_AUROC": 0.6}, 3, [figure])
    marks = {
        run.data.tags["hourglass.trial"].split()[-1]: sorted(
            tag for tag in run.data.tags if tag in ("hourglass.best", "hourglass.front")
        )
        for run in children(record)
    }
    assert marks == {"0": [], "1": ["hourglass.front"], "2": ["hourglass.best", "hourglass.front"]}
    client = record.runs.client
    assert [file.path for file in client.list_artifacts(record.run_id)] == ["history.png"]
    points = client.get_metric_history(record.run_id, "tuning_AUROC")
    assert [(point.step, point.value) for point in points] == [(3, 0.6)]  # written once


def test_curves_states_and_times_of_a_trial_are_recorded(open_record):
    record = open_record()
    curves = {"validation_error": [(epoch, 1 / (epoch + 1)) for epoch in range(1500)]}
    record.add_trial(7, "FAIL", {"latent_dim": "4"}, curves, TIMES, "it diverged.")
    (child,) = children(record)
    points = record.runs.client.get_metric_history(child.info.run_id, "validation_error")
    assert [(point.step, point.value) for point in points] == curves["validation_error"]
    assert (child.info.start_time, child.info.end_time) == TIMES
    assert (child.info.status, child.data.params) == ("FAILED", {"latent_dim": "4"})
    assert child.data.tags["mlflow.note.content"] == "it diverged."
