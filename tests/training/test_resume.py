import dataclasses
import json
import threading
import time
from pathlib import Path

import pytest

from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.resume import last_epoch, resume_or_start, wait_for_rank_zero

SETTINGS = CellSettings("digits", "linear", "", {"latent_dim": 8}, Training(), {}, 0)
OTHERS = {
    "a setting": (dataclasses.replace(SETTINGS, init_args={"latent_dim": 9}), "data"),
    "the seed": (dataclasses.replace(SETTINGS, seed=1), "data"),
    "the data": (SETTINGS, "other data"),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "checkpoints" / "cell"


def test_a_new_training_replaces_none(folder):
    state = resume_or_start(folder, SETTINGS, "data")
    assert state["token"]
    assert state["replaced"] == ""


def test_the_same_training_is_taken_up(folder):
    first = resume_or_start(folder, SETTINGS, "data")
    (folder / "last.ckpt").write_text("an epoch")
    assert resume_or_start(folder, SETTINGS, "data") == first
    assert (folder / "last.ckpt").exists()


@pytest.mark.parametrize("what", OTHERS)
def test_where_something_has_changed_training_begins_anew(folder, what):
    first = resume_or_start(folder, SETTINGS, "data")
    (folder / "last.ckpt").write_text("an epoch")
    second = resume_or_start(folder, *OTHERS[what])
    assert second["token"] != first["token"]
    assert second["replaced"] == first["token"]
    assert [path.name for path in folder.iterdir()] == ["state.json"]


def test_other_processes_find_what_the_main_one_took_up(folder):
    resume_or_start(folder, SETTINGS, "data")
    before = (folder / "state.json").read_bytes()
    wait_for_rank_zero(folder, SETTINGS, "data")
    assert (folder / "state.json").read_bytes() == before


@pytest.mark.parametrize("stale", [False, True])
def test_other_processes_wait_for_the_main_one_and_touch_nothing(folder, stale):
    if stale:
        resume_or_start(folder, *OTHERS["the seed"])
    seen = {"waiting": False}

    def main() -> None:
        time.sleep(0.3)
        seen["waiting"] = other.is_alive()
        resume_or_start(folder, SETTINGS, "data")

    other = threading.Thread(target=wait_for_rank_zero, args=(folder, SETTINGS, "data"))
    other.start()
    main()
    other.join(timeout=10)
    assert seen["waiting"]
    assert not other.is_alive()
    assert [path.name for path in folder.iterdir()] == ["state.json"]


def test_a_main_process_that_never_begins_is_not_waited_for_forever(folder, monkeypatch, refusal):
    monkeypatch.setattr("hourglass.training.resume.PATIENCE", 0)
    assert folder.as_posix() in refusal(wait_for_rank_zero, folder, SETTINGS, "data")
    assert not folder.exists()


def test_a_damaged_checkpoint_is_removed(tmp_path, capsys):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"half")
    assert last_epoch(path) is None
    assert not path.exists()
    assert "begins anew" in capsys.readouterr().err


def test_a_state_is_json_that_a_person_can_read(folder):
    state = resume_or_start(folder, SETTINGS, "data")
    assert json.loads((folder / "state.json").read_text()) == state
