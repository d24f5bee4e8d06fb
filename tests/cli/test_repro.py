"""Command `repro`: it repairs the files of a killed DVC and nothing else, then runs DVC."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo
from filelock import FileLock, Timeout

from hourglass.cli.repro import _run, is_complete, repair, repro
from hourglass.core.errors import UserError
from hourglass.core.fork_server.client import SWITCH
from tests.workspaces import environment

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
    """Give the current folder, with dvc.yaml and dvc.lock, without git."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "dvc.lock").write_text(WHOLE)
    return tmp_path


def test_a_complete_lock_file_stays(project, repository):
    assert repair() == []
    assert (project / "dvc.lock").read_text() == WHOLE
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


def write_locks(project: Path, *pids: int) -> Path:
    path = project / ".dvc/tmp/rwlock"
    held = {f"/runs/{pid}": {"pid": pid, "cmd": "dvc repro"} for pid in pids}
    path.write_text(json.dumps({"write": held, "read": {"/x": list(held.values())}}))
    return path


def test_only_locks_of_a_running_dvc_stay(project):
    words = [sys.executable, "-c", "input()"]
    dvc, other = (subprocess.Popen([*words, name], stdin=subprocess.PIPE) for name in ("dvc", "x"))
    try:
        path = write_locks(project, dvc.pid, other.pid)
        assert repair() == []
        assert path.exists()
    finally:
        dvc.communicate(b"\n")
    write_locks(project, dvc.pid, other.pid)  # the one has ended, the other is not DVC
    assert "removed the locks" in repair()[0]
    assert not path.exists()
    other.communicate(b"\n")


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("", False),
        ('{"write": {"/runs', False),
        ("[]", False),
        ('{"read": {"a": [1]}}', False),
        ("{}", True),
        ('{"write": {}, "read": {}}', True),
    ],
)
def test_a_truncated_file_of_locks_is_removed(project, text, stays):
    path = project / ".dvc/tmp/rwlock"
    path.write_text(text)
    assert bool(repair()) != stays
    assert path.exists() == stays


@pytest.mark.parametrize("changed", [True, False])
def test_changed_code_of_installed_packages_forces_a_snapshot(project, monkeypatch, changed):
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

    def run(*commands: list[str], **_: str) -> int:
        groups.append(list(commands))
        return 0

    monkeypatch.setattr(RUN, run)
    monkeypatch.setenv("HOURGLASS_FORK_SERVER", "off")
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


def test_all_processes_of_jobs_share_one_fork_server(started, monkeypatch):
    servers = []
    monkeypatch.setattr(RUN, lambda *_, **variables: servers.append(variables.get(SWITCH)) or 0)
    monkeypatch.setattr("hourglass.cli.repro._is_outdated", lambda: True)
    repro(jobs=2)
    assert servers == ["off"] * 4  # the value of the test, for the final `dvc repro` too


def test_jobs_start_nothing_if_nothing_changed(started, monkeypatch, capsys):
    monkeypatch.setattr("hourglass.cli.repro._is_outdated", lambda: False)
    repro(jobs=2)
    assert started == []
    assert "up to date" in capsys.readouterr().out


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("outdated", [True, False])
def test_pages_that_do_not_belong_to_the_tables_are_written_again(
    started, monkeypatch, outdated, jobs
):
    written: list[bool] = []
    monkeypatch.setattr("hourglass.cli.repro._is_outdated", lambda: False)
    monkeypatch.setattr("hourglass.cli.repro.page_is_outdated", lambda: outdated)
    monkeypatch.setattr("hourglass.stages.compare.compare", lambda: written.append(True))
    repro(jobs=jobs)
    assert written == [True] * outdated


def test_at_least_one_job_runs(started):
    with pytest.raises(UserError, match="--jobs 0"):
        repro(jobs=0)


def test_dvc_runs_under_a_lock_and_its_exit_status_is_returned(project, monkeypatch):
    def run(words: list[str]) -> int:
        with pytest.raises(Timeout):
            FileLock(project / ".dvc/tmp/repro.lock").acquire(blocking=False)
        return 3

    monkeypatch.setattr(RUN, run)
    with pytest.raises(SystemExit) as caught:
        repro("compare")
    assert caught.value.code == 3


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_terminated_pipeline_starts_no_other_process(project, monkeypatch, jobs):
    program = "import signal, os; os.kill(os.getppid(), signal.SIGTERM); signal.pause()"
    monkeypatch.setattr("hourglass.cli.repro.DVC", (sys.executable, "-c", program))
    assert _run(*([["repro"]] * jobs)) == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


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
    assert "1 incomplete copy" in sentence
    assert sorted(folder.iterdir()) == sorted(kept)
    assert repair() == []


def test_without_git_the_message_names_the_commands_that_help(project, refusal, monkeypatch):
    (project / ".dvc/config").unlink()
    message = refusal(repro)
    assert "git repository" in message
    commands = message.split("`")[1::2]
    assert commands == ["git init", "dvc config --local core.no_scm true"]
    monkeypatch.setattr(RUN, lambda *_, **__: 0)
    for command in commands:
        if command.startswith("dvc"):
            shutil.rmtree(project / ".git")
        subprocess.run(command, shell=True, check=True, env=environment())
        repro("compare")
