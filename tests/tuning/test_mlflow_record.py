"""The record of a study in MLflow: each study and each trial once, whoever writes it."""

import mlflow
import pytest

from hourglass.tuning.mlflow_record import StudyRecord

PARAMS = {"data": "digits", "model": "denoising"}
TIMES = (1_700_000_000_000, 1_700_000_001_000)


@pytest.fixture
def new(stage_folder):
    """Give a function that returns one more writer to the same store."""
    return lambda: StudyRecord(stage_folder)


def tell(record: StudyRecord, number: int, state: str = "COMPLETE") -> None:
    curves = {"tuning_AUROC": [(2, 0.5), (4, 0.6 + number / 100)]}
    record.trial(number, state, {"latent_dim": "4"}, curves, TIMES, "")


def children(record: StudyRecord) -> list[mlflow.entities.Run]:
    runs = record.client.search_runs([record.experiment_id])
    return [run for run in runs if "mlflow.parentRunId" in run.data.tags]


def test_two_commands_on_one_study_have_one_run_and_a_child_a_trial(new):
    first, second = new(), new()
    assert first.open("an identity", "a study", PARAMS) == []
    tell(first, 0)
    assert second.open("an identity", "a study", PARAMS) == [0]
    for record in (first, second):
        tell(record, 0)
        tell(record, 1, "PRUNED")
    assert first.run_id == second.run_id
    assert sorted(run.info.run_name for run in children(first)) == ["trial 0", "trial 1 (pruned)"]
    assert len(first.client.search_runs([first.experiment_id])) == 3


def test_another_study_of_the_same_name_has_a_run_of_its_own(new):
    record, other = new(), new()
    record.open("an identity", "a study", PARAMS)
    tell(record, 0)
    assert other.open("another identity", "a study", PARAMS) == []
    tell(other, 0)
    assert len(children(record)) == 2


def test_what_a_killed_command_left_of_a_trial_is_written_anew(new):
    record = new()
    record.open("an identity", "a study", PARAMS)
    tags = {"mlflow.parentRunId": record.run_id, "hourglass.trial": f"{record.run_id} 0"}
    record.client.create_run(record.experiment_id, tags=tags)
    again = new()
    assert again.open("an identity", "a study", PARAMS) == []
    tell(again, 0)
    (child,) = children(record)
    assert child.info.status == "FINISHED"
    assert child.data.metrics["tuning_AUROC"] == 0.6


def test_the_winner_is_marked_and_the_one_before_no_more(new, tmp_path):
    record = new()
    record.open("an identity", "a study", PARAMS)
    for number in range(3):
        tell(record, number)
    (tmp_path / "history.png").write_bytes(b"picture")
    for best, front in ((0, []), (2, [1, 2])):
        record.summary(best, front, {"tuning_AUROC": 0.6}, 3, [str(tmp_path / "history.png")])
    marks = {
        run.data.tags["hourglass.trial"].split()[-1]: sorted(
            tag for tag in run.data.tags if tag in ("hourglass.best", "hourglass.front")
        )
        for run in children(record)
    }
    assert marks == {"0": [], "1": ["hourglass.front"], "2": ["hourglass.best", "hourglass.front"]}
    files = [file.path for file in record.client.list_artifacts(record.run_id)]
    assert files == ["history.png"]
    points = record.client.get_metric_history(record.run_id, "tuning_AUROC")
    assert [(point.step, point.value) for point in points] == [(3, 0.6)]  # told twice, there once


def test_curves_states_and_times_are_kept(new):
    record = new()
    record.open("an identity", "a study", PARAMS)
    curves = {"validation_error": [(epoch, 1 / (epoch + 1)) for epoch in range(1500)]}
    record.trial(7, "FAIL", {"latent_dim": "4"}, curves, TIMES, "it diverged.")
    (child,) = children(record)
    points = record.client.get_metric_history(child.info.run_id, "validation_error")
    assert [(point.step, point.value) for point in points] == curves["validation_error"]
    assert (child.info.start_time, child.info.end_time) == TIMES
    assert (child.info.status, child.data.params) == ("FAILED", {"latent_dim": "4"})
    assert child.data.tags["mlflow.note.content"] == "it diverged."
