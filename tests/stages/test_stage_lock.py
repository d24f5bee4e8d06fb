"""Stage locks: stages that write the same cell wait for each other."""

import threading
import time

import pytest

from hourglass.stages.output import LOCKS, stage_lock

CELL = "digits-linear"


@pytest.mark.parametrize("stage", ["train", "calibrate-threshold", "evaluate", "study"])
def test_stages_of_one_cell_wait_for_each_other(tmp_path, monkeypatch, capfd, stage):
    monkeypatch.chdir(tmp_path)
    entered = threading.Event()

    def wait() -> None:
        with stage_lock(stage, CELL):
            entered.set()

    thread = threading.Thread(target=wait)
    with stage_lock("train", CELL):
        thread.start()
        message = ""
        while not message:
            time.sleep(0.01)
            message = capfd.readouterr().err
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()
    assert message.startswith(f"hourglass: {CELL}: another command writes it")
    assert [path.suffix for path in LOCKS.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("stage", "name"), [("train", "digits-denoising"), ("prepare", "digits"), ("compare", "")]
)
def test_other_stages_do_not_wait(tmp_path, monkeypatch, capfd, stage, name):
    monkeypatch.chdir(tmp_path)
    with stage_lock("train", CELL), stage_lock(stage, name):
        assert capfd.readouterr().err == ""
