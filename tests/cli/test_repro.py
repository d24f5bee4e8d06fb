"""Command `repro`: it repairs the files of a killed DVC and nothing else, then runs DVC."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo

from hourglass.cli.repro import is_complete, repair, repro
from hourglass.core.errors import UserError
from hourglass.core.locks import file_lock

RUN = "hourglass.cli.repro._run"
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
    """Give the current folder, with a dvc.lock."""
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


def test_a_complete_lock_file_stays(project):
    assert repair() == []
    assert (project / "dvc.lock").read_text() == WHOLE


def test_the_lock_file_of_this_repository_is_complete(repository):
    assert is_complete(repository / "dvc.lock")


def test_a_lock_file_truncated_within_a_line_is_removed(project):
    for cut in range(0, len(WHOLE), 7):
        (project / "dvc.lock").write_text(WHOLE[:cut])
        repairs = repair()
        if WHOLE[:cut].endswith("\n") and not repairs:
            continue  # a stage or an output fewer: DVC's run cache has the rest
        assert "dvc.lock was truncated" in repairs[0]
        assert not (project / "dvc.lock").exists()


def test_dvc_reads_every_lock_file_that_stays(project):
    repo = Repo.init(str(project), no_scm=True, force=True)
    for cut in [at + 1 for at, letter in enumerate(WHOLE) if letter == "\n"]:
        (project / "dvc.lock").write_text(WHOLE[:cut])
        try:
            Lockfile(repo, str(project / "dvc.lock")).load()
        except DvcException:
            assert repair(), WHOLE[:cut]
        else:
            assert not repair(), WHOLE[:cut]


def test_locks_of_a_killed_dvc_are_removed(project):
    path = locks(project, dead_process())
    assert "removed the locks" in repair()[0]
    assert not path.exists()


def test_locks_with_the_id_of_another_process_are_removed(project):
    path = locks(project, os.getpid() if "dvc" not in " ".join(sys.argv) else 1)
    assert repair()
    assert not path.exists()


def test_locks_of_a_running_dvc_stay(project):
    process = subprocess.Popen([sys.executable, "-c", "input()", "dvc"], stdin=subprocess.PIPE)
    try:
        path = locks(project, process.pid, dead_process())
        assert repair() == []
        assert path.exists()
    finally:
        process.communicate(b"\n")


@pytest.mark.parametrize("text", ["", '{"write": {"/runs', "[]", '{"read": {"a": [1]}}'])
def test_a_truncated_file_of_locks_is_removed(project, text):
    path = project / ".dvc/tmp/rwlock"
    path.write_text(text)
    assert repair()
    assert not path.exists()


@pytest.mark.parametrize("text", ["{}", '{"write": {}, "read": {}}'])
def test_a_file_without_locks_stays(project, text):
    path = project / ".dvc/tmp/rwlock"
    path.write_text(text)
    assert repair() == []
    assert path.exists()


def test_a_second_pipeline_waits_for_the_first_and_says_so(project, monkeypatch, capfd):
    ran = threading.Event()
    (project / "dvc.yaml").touch()
    # Only the main thread may set signal handlers.
    monkeypatch.setattr(RUN, lambda words: ran.set() or 0)
    with file_lock(project / ".dvc/tmp/repro.lock", ""):
        thread = threading.Thread(target=repro)
        thread.start()
        message = ""
        while not message:
            time.sleep(0.01)
            message = capfd.readouterr().err
        assert not ran.is_set()
    thread.join(30)
    assert ran.is_set()
    assert message == (
        "hourglass: another `hourglass repro` runs in this folder; waiting until it ends.\n"
    )


def test_the_exit_status_is_that_of_dvc(project, monkeypatch):
    (project / "dvc.yaml").touch()
    monkeypatch.setattr(RUN, lambda words: 3 if words == ["repro", "compare"] else 0)
    repro()
    with pytest.raises(SystemExit) as caught:
        repro("compare")
    assert caught.value.code == 3


@pytest.mark.parametrize("changed", [True, False])
def test_changed_code_of_installed_packages_forces_a_snapshot(project, monkeypatch, changed):
    (project / "dvc.yaml").touch()
    commands: list[list[str]] = []
    monkeypatch.setattr(RUN, lambda words: commands.append(words) or 0)
    monkeypatch.setattr("hourglass.cli.repro.installed_code_changed", lambda: changed)
    repro("compare")
    forced = ["repro", "--force", "--single-item", "snapshot"]
    assert commands == [forced] * changed + [["repro", "compare"]]


@pytest.fixture
def started(project, repository, monkeypatch) -> list[list[list[str]]]:
    """Return the DVC commands of `repro`, one list per group that runs at the same time."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(repository / name, project)
    groups: list[list[list[str]]] = []
    monkeypatch.setattr(RUN, lambda *commands: groups.append(list(commands)) or 0)
    for name in ("OMP_NUM_THREADS", "HOURGLASS_FORK_SERVER"):
        monkeypatch.setenv(name, "1")
    return groups


@pytest.mark.parametrize("jobs", [2, 3, 50])
def test_jobs_run_all_stages_of_a_cell_in_one_process_and_in_order(started, monkeypatch, jobs):
    monkeypatch.setattr("hourglass.cli.repro._is_outdated", lambda: True)
    repro(jobs=jobs)
    assert started[0] == [["repro", "snapshot"]]
    cells = started[2]
    assert len(cells) == min(jobs, 20)
    names = [word for command in cells for word in command[2:]]
    assert len(names) == len(set(names)) == 4 * 20
    for command in cells:
        stages, of_cells = zip(*(word.split("@") for word in command[2:]), strict=True)
        assert stages[:4] == ("train", "calibrate-threshold", "evaluate", "study")
        assert len(set(of_cells)) == len(of_cells) / 4
    assert started[-1] == [["repro"]]


def test_jobs_start_nothing_but_dvc_if_nothing_changed(started, monkeypatch):
    monkeypatch.setattr("hourglass.cli.repro._is_outdated", lambda: False)
    repro(jobs=2)
    assert started == [[["repro"]]]


def test_at_least_one_job_runs(started):
    with pytest.raises(UserError, match="--jobs 0"):
        repro(jobs=0)


def test_a_folder_without_a_pipeline_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no dvc.yaml here"):
        repro()


def test_incomplete_copies_are_removed_and_nothing_else(project):
    folder = project / "runs/digits/linear/study"
    folder.mkdir(parents=True)
    kept = [folder / name for name in (".notes.tmp", "metrics.json", "H37EdDfwQR6AOg6xOkpg1A.tmp")]
    half = folder / ".H37EdDfwQR6AOg-xOkpg_A.tmp"  # a temporary name of dvc_objects
    for path in (*kept, half):
        path.write_text("half")
    (sentence,) = repair()
    assert "1 incomplete copies" in sentence
    assert sorted(folder.iterdir()) == sorted(kept)
    assert repair() == []
