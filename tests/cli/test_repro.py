"""What a killed DVC leaves behind, and that `hourglass repro` mends it, and nothing else."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo

from hourglass.cli import repro as verb
from hourglass.cli.repro import is_whole, mend, repro
from hourglass.core.errors import UserError
from hourglass.core.locks import file_lock

STAGE = """  {name}:
    cmd: python src/hourglass {name}
    deps:
    - path: src
      hash: md5
      md5: 6fb521372e265d2c2e4a875b9f3ffd55.dir
      size: 721447
      nfiles: 246
    params:
      params.yaml:
        seed: 0
    outs:
    - path: runs/{name}
      hash: md5
      md5: 90d95b52cdb9a8f1e87ab1d906c4bc60
      size: 188
"""
WHOLE = "schema: '2.0'\nstages:\n" + "".join(STAGE.format(name=name) for name in ("one", "two"))


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Give a folder with a dvc.lock, as the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(WHOLE)
    return tmp_path


def locks(project: Path, *pids: int) -> Path:
    path = project / ".dvc/tmp/rwlock"
    held = {f"/runs/{pid}": {"pid": pid, "cmd": "dvc repro"} for pid in pids}
    path.write_text(json.dumps({"write": held, "read": {"/x": list(held.values())}}))
    return path


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_whole_lock_file_stays(project):
    assert mend() == []
    assert (project / "dvc.lock").read_text() == WHOLE


def test_the_lock_file_of_this_repository_is_whole(repository):
    assert is_whole(repository / "dvc.lock")


def test_a_lock_file_cut_anywhere_within_a_line_is_taken_away(project):
    for cut in range(0, len(WHOLE), 7):
        (project / "dvc.lock").write_text(WHOLE[:cut])
        mended = mend()
        if WHOLE[:cut].endswith("\n") and not mended:
            continue  # a stage less, or an output less: DVC's run cache knows the rest
        assert "dvc.lock was cut short" in mended[0]
        assert not (project / "dvc.lock").exists()


def test_what_is_left_in_place_dvc_can_read(project):
    repo = Repo.init(str(project), no_scm=True, force=True)
    for cut in [at + 1 for at, letter in enumerate(WHOLE) if letter == "\n"]:
        (project / "dvc.lock").write_text(WHOLE[:cut])
        try:
            Lockfile(repo, str(project / "dvc.lock")).load()
        except DvcException:
            assert mend(), WHOLE[:cut]
        else:
            assert not mend(), WHOLE[:cut]


def test_locks_of_a_killed_dvc_are_taken_away(project):
    path = locks(project, dead_process())
    assert "left its locks behind" in mend()[0]
    assert not path.exists()


def test_locks_whose_number_another_process_bears_now_are_taken_away(project):
    path = locks(project, os.getpid() if "dvc" not in " ".join(sys.argv) else 1)
    assert mend()
    assert not path.exists()


def test_locks_of_a_dvc_that_is_alive_stay(project):
    process = subprocess.Popen([sys.executable, "-c", "input()", "dvc"], stdin=subprocess.PIPE)
    try:
        path = locks(project, process.pid, dead_process())
        assert mend() == []
        assert path.exists()
    finally:
        process.communicate(b"\n")


@pytest.mark.parametrize("text", ["", '{"write": {"/runs', "[]", '{"read": {"a": [1]}}'])
def test_a_file_of_locks_that_was_cut_short_is_taken_away(project, text):
    path = project / ".dvc/tmp/rwlock"
    path.write_text(text)
    assert mend()
    assert not path.exists()


@pytest.mark.parametrize("text", ["{}", '{"write": {}, "read": {}}'])
def test_a_file_without_locks_stays(project, text):
    path = project / ".dvc/tmp/rwlock"
    path.write_text(text)
    assert mend() == []
    assert path.exists()


def test_one_pipeline_at_a_time_and_the_other_says_that_it_waits(project, monkeypatch, capfd):
    ran = threading.Event()
    (project / "dvc.yaml").touch()
    # The handlers of signals belong to the main thread; what DVC does is for other tests.
    monkeypatch.setattr(verb, "_run", lambda words: ran.set() or 0)
    with file_lock(project / ".dvc/tmp/repro.lock", ""):
        thread = threading.Thread(target=repro)
        thread.start()
        said = ""
        while not said:
            time.sleep(0.01)
            said = capfd.readouterr().err
        assert not ran.is_set()
    thread.join(30)
    assert ran.is_set()
    assert said == "hourglass: another `hourglass repro` is at work here; waiting for its end.\n"


def test_what_dvc_ends_with_is_what_it_ends_with(project, monkeypatch):
    (project / "dvc.yaml").touch()
    monkeypatch.setattr(verb, "_run", lambda words: 3 if words == ["repro", "cells"] else 0)
    repro()
    with pytest.raises(SystemExit) as caught:
        repro("cells")
    assert caught.value.code == 3


def test_a_folder_without_a_pipeline_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no dvc.yaml here"):
        repro()


def test_what_dvc_had_half_copied_is_taken_away_and_nothing_else(project):
    folder = project / "runs/digits/linear/study"
    folder.mkdir(parents=True)
    kept = [folder / name for name in (".notes.tmp", "metrics.json", "H37EdDfwQR6AOg6xOkpg1A.tmp")]
    half = folder / ".H37EdDfwQR6AOg-xOkpg_A.tmp"  # as dvc_objects names what it copies to
    for path in (*kept, half):
        path.write_text("half")
    (said,) = mend()
    assert "1 half-copied files" in said
    assert sorted(folder.iterdir()) == sorted(kept)
    assert mend() == []
