"""The live record of a training: epochs once each, whatever is killed, lost or repeated."""

import json
from pathlib import Path

import pytest
import yaml

from hourglass.core.atomic import write_json
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.stages.train import train
from hourglass.tracking import live_epochs
from hourglass.tracking.live_epochs import LiveTraining
from hourglass.tracking.recording import EPOCHS as EPOCH_FILE
from hourglass.tracking.runs import Runs
from tests.tracking.stored import CELL, EPOCHS, make_workspace, rows
from tests.workspaces import DirectRecorder, set_yaml, working_in

SETTINGS = {"data": "digits", "model": "denoising", "seed": 0}
SETTINGS |= {"init_args": {}, "training": {}, "trainer": {}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Give a working folder with the prepared data set and MLflow's empty tables."""
    folder = make_workspace(tmp_path_factory.mktemp("live") / "workspace")
    with working_in(folder):
        Runs(folder)
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    """Work in a copy of it."""
    import shutil

    copy = Path(shutil.copytree(prepared, tmp_path / "workspace"))
    with working_in(copy):
        yield copy


def begin(token: str, replaced: str = "") -> LiveTraining:
    """Start to record a training, as the stage leaves it in the checkpoint folder."""
    cell = Cell(*CELL)
    cell.resume.mkdir(parents=True, exist_ok=True)
    write_json(cell.resume / "state.json", {"token": token, "replaced": replaced})
    (cell.resume / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    (cell.resume / EPOCH_FILE).write_text("")
    return LiveTraining(Runs(Path.cwd()), cell)


def append(*epochs: int, phase: str = "") -> None:
    with (Cell(*CELL).resume / EPOCH_FILE).open("a") as file:
        for epoch in epochs:
            row = {"epoch": epoch, "train_loss": 1 / (epoch + 1), "validation_error": 0.5}
            file.write(json.dumps(({"phase": phase} if phase else {}) | row) + "\n")


def test_epochs_are_logged_as_the_file_grows(folder):
    live = begin("a token")
    append(0, 1, phase="layer_1")
    live.log_epochs()
    append(0, 1)
    with live.epochs_file.open("a") as file:
        file.write('{"epoch": 2, "train_l')  # the line is not complete yet
    live.log_epochs()
    (row,) = rows(folder)
    assert row.status == "RUNNING"
    assert row.steps["training/train_loss"] == row.steps["training/layer_1_train_loss"] == [0, 1]
    with live.epochs_file.open("a") as file:
        file.write('oss": 0.25}\n')
    live.close("FINISHED")
    (row,) = rows(folder)
    assert (row.status, row.steps["training/train_loss"]) == ("FINISHED", [0, 1, 2])
    assert row.metrics["training/train_loss"] == 0.25
    assert "environment/requirements.txt" in row.artifacts


@pytest.mark.parametrize("seconds", [0, 60])
def test_only_a_long_training_has_system_metrics(folder, monkeypatch, seconds):
    monkeypatch.setattr(live_epochs, "SYSTEM_METRICS_AFTER_SECONDS", seconds)
    live = begin("a token")
    live.update()
    live.close("FINISHED")
    (row,) = rows(folder)
    assert [key for key in row.metrics if key.startswith("system/")] == [] or not seconds
    assert ("system/cpu_utilization_percentage" in row.metrics) is (seconds == 0)


def test_a_training_that_resumes_continues_its_run(folder):
    killed = begin("a token")
    append(0, 1)
    killed.log_epochs()
    live = begin("a token")
    append(0, 1, 2)  # it reports the epochs of its checkpoint again
    live.close("FINISHED")
    (row,) = rows(folder)
    assert (row.id, row.steps["training/train_loss"]) == (killed.run_id, [0, 1, 2])


def test_epochs_whose_reply_was_lost_are_logged_once(folder, monkeypatch):
    live = begin("a token")
    append(0, 1)
    log = live.runs.client.log_batch

    def log_and_fail(*args, **kwargs) -> None:
        log(*args, **kwargs)
        raise ConnectionError("the reply was lost")

    with monkeypatch.context() as patch:
        patch.setattr(live.runs.client, "log_batch", log_and_fail)
        with pytest.raises(ConnectionError):
            live.log_epochs()
    append(2)
    live.close("FINISHED")
    (row,) = rows(folder)
    assert row.steps["training/train_loss"] == [0, 1, 2]


@pytest.mark.parametrize("status", ["KILLED", "FINISHED", "FAILED"])
def test_an_abandoned_training_is_killed_unless_it_had_ended(folder, status):
    old = begin("old")
    if status != "KILLED":
        old.close(status)
    begin("new", replaced="old").close("FINISHED")
    assert [row.status for row in rows(folder)] == [status, "FINISHED"]


@pytest.mark.parametrize(
    "recorder", [DirectRecorder, pytest.param(None, marks=pytest.mark.slow, id="process")]
)
def test_a_failed_training_is_marked_and_the_next_one_has_its_own_run(folder, recorder):
    model = folder / "configs/model/denoising.yaml"
    set_yaml(model, "init_args", "learning_rate", value=1e30)
    with working_in(folder, recorder):
        with pytest.raises(UserError):
            train(*CELL)
        (row,) = rows(folder)
        assert (row.status, row.params["learning_rate"]) == ("FAILED", "1e+30")
        set_yaml(model, "init_args", "learning_rate", value=1e-3)
        train(*CELL)
    failed, finished = rows(folder)
    assert (failed.status, finished.status) == ("FAILED", "FINISHED")
    assert finished.steps["training/train_loss"] == list(range(EPOCHS))
