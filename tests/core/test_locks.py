import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hourglass.core.locks import LOCKS, file_lock, stage_lock

HOLDING = """
import sys, time
sys.path.insert(0, sys.argv[1])
from hourglass.turns import stage_lock
with stage_lock("train", {"data": "digits", "model": "linear"}):
    print("mine", flush=True)
    time.sleep(600)
"""
CELL = {"data": "digits", "model": "linear"}


@pytest.fixture
def holder(tmp_path, monkeypatch, repository):
    """Give a process that trains a cell, as far as locks know."""
    monkeypatch.chdir(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(repository / "src")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("verb", ["train", "calibrate-threshold", "evaluate", "study"])
def test_who_writes_a_cell_waits_for_who_does_and_says_so(holder, capfd, verb):
    begun = threading.Event()

    def wait_for_turn() -> None:
        with stage_lock(verb, CELL):
            begun.set()

    thread = threading.Thread(target=wait_for_turn)
    thread.start()
    said = ""
    while not said:
        time.sleep(0.01)
        said = capfd.readouterr().err
    assert not begun.is_set()
    holder.kill()  # and a kill takes its lock away
    thread.join(10)
    assert begun.is_set()
    assert said == "hourglass: digits-linear: another command writes it; waiting for its end.\n"


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("train", {"data": "digits", "model": "denoising"}),
        ("train", {"data": "digits-linear", "model": "x"}),
        ("prepare", {"data": "digits"}),
        ("compare", {}),
        ("score", CELL),
    ],
)
def test_who_writes_something_else_or_nothing_does_not_wait(holder, capfd, verb, arguments):
    with stage_lock(verb, arguments):
        pass
    assert capfd.readouterr().err == ""


def test_the_other_ranks_of_a_training_do_not_wait_for_the_first(holder, monkeypatch, capfd):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with stage_lock("train", CELL):
        pass
    assert capfd.readouterr().err == ""


def test_a_turn_may_be_taken_again_after_an_error(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with pytest.raises(KeyError), stage_lock("train", CELL):
            raise KeyError
    assert capfd.readouterr().err == ""
    assert [path.suffix for path in LOCKS.iterdir()] == [".lock"]


def test_a_lock_needs_a_folder_that_may_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), file_lock(tmp_path / "file" / "a.lock", "x"):
        pass
    assert Path(tmp_path / "file").is_file()
