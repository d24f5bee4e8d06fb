"""Command `init`: the files of a workspace, git and DVC, and the pin of the version."""

import difflib
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from hourglass.cli.init import create_workspace, init
from hourglass.cli.template import SHARED_FILES, repository_files
from hourglass.core import installation
from hourglass.core.errors import UserError
from hourglass.core.installation import installed_version, python_path, require_pinned_version
from hourglass.core.settings import params
from hourglass.stages.output import stage_lock
from tests.workspaces import ROOT, environment

COMMANDS = "cmd: python src/hourglass ", "cmd: hourglass "


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(autouse=True)
def git_user(monkeypatch, tmp_path):
    """Set the author of commits; git ignores the repository around the temporary folder."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@localhost")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "my workspace"


def changed_lines(path: str, folder: Path) -> list[str]:
    """Return the lines by which a file of a workspace differs from the repository's."""
    old, new = ((top / path).read_text("utf-8").splitlines() for top in (ROOT, folder))
    lines = difflib.ndiff(old, new)
    return [line for line in lines if line[0] in "+-"]


def test_the_pipeline_is_that_of_the_repository_but_runs_the_installed_package(folder):
    create_workspace(folder, git=False)
    lines = changed_lines("dvc.yaml", folder)
    commands = [line for line in lines if "cmd:" in line]
    assert [line for line in lines if line not in commands] == ["+       - requirements.txt"]
    removed = [line[1:].replace(*COMMANDS) for line in commands if line[0] == "-"]
    assert sorted(removed) == sorted(line[1:] for line in commands if line[0] == "+")
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    assert all(stage["cmd"].startswith(f"hourglass {name}") for name, stage in stages.items())
    assert {"src", "requirements.txt"} <= set(stages["snapshot"]["deps"])


def test_the_studies_of_dvc_do_not_depend_on_the_sources_of_a_checkout(folder):
    create_workspace(folder, git=False)
    assert "src/hourglass" not in (folder / "tune/dvc.yaml").read_text()


@pytest.mark.parametrize("path", ["params.yaml", "configs/data/digits.yaml", ".dvcignore"])
def test_settings_are_those_of_the_repository(folder, path):
    create_workspace(folder, git=False)
    assert changed_lines(path, folder) == []


def test_every_tracked_settings_file_belongs_to_a_workspace(snapshot):
    """A new folder below configs must be added to SHARED_FILES."""
    places = {pattern.partition("/")[0] for pattern in SHARED_FILES} & {
        "configs", "tune", ".dvc", "mlruns", "reports", "data",
    }  # fmt: skip
    tracked = [
        path.relative_to(snapshot).as_posix()
        for place in places
        for path in (snapshot / place).rglob("*")
        if path.is_file()
    ]
    assert sorted(tracked) == sorted(
        path for path in repository_files(snapshot) if path.partition("/")[0] in places
    )


def test_both_makefiles_remove_the_same_outputs_of_the_pipeline(folder):
    create_workspace(folder, git=False)
    removed = [
        set((top / "Makefile").read_text().split("\nclean: ")[1].split("\n\n")[0].split())
        for top in (ROOT, folder)
    ]
    assert {path for path in removed[0] - removed[1] if "/" in path} <= {"reports/benchmark*"}
    assert removed[1] <= removed[0] | {"stay", "studies"}


def test_the_grid_can_be_given_and_comments_stay(folder, monkeypatch):
    create_workspace(folder, data=["mine"], models=["linear", "denoising"], git=False)
    monkeypatch.chdir(folder)
    assert (params().data, params().models) == (["mine"], ["linear", "denoising"])
    assert {line[0] for line in changed_lines("params.yaml", folder) if "#" in line} == set()


def test_a_new_workspace_is_a_clean_git_repository_with_one_commit(folder, capsys):
    init(str(folder))
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "rev-list", "--count", "HEAD") == "1"
    assert f"cd '{folder}' && hourglass repro" in capsys.readouterr().out
    assert not (folder / ".dvc/config.local").exists()


def test_dvc_reads_the_pipeline(folder, monkeypatch):
    from dvc.repo import Repo

    create_workspace(folder, data=["digits"], models=["linear"])
    monkeypatch.chdir(folder)
    with Repo() as repo:
        names = {stage.addressing for stage in repo.index.stages}
    assert {"snapshot", "train@digits-linear", "compare"} <= names


def test_a_workspace_in_a_git_repository_belongs_to_it(tmp_path):
    git(tmp_path, "init", "--quiet")
    create_workspace(tmp_path / "part")
    assert not (tmp_path / "part/.git").exists()
    assert git(tmp_path, "status", "--porcelain") == "?? part/"


def test_a_workspace_in_an_ignored_folder_has_a_git_repository(tmp_path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("build/\n")
    create_workspace(tmp_path / "build/part")
    assert git(tmp_path / "build/part", "rev-list", "--count", "HEAD") == "1"


def test_without_git_dvc_works_without_it(folder, monkeypatch):
    from dvc.repo import Repo

    monkeypatch.setattr(shutil, "which", lambda _: None)
    create_workspace(folder)
    assert not (folder / ".git").exists()
    with Repo(str(folder)) as repo:
        assert repo.config["core"]["no_scm"] is True


def test_a_refused_commit_leaves_the_files_staged(folder, monkeypatch, capsys):
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "")
    init(str(folder))
    output = capsys.readouterr().out
    assert "the first commit is left to you (git does not know your name" in output
    assert "A  dvc.yaml" in git(folder, "status", "--porcelain")


def test_existing_files_stay(folder, capsys):
    folder.mkdir()
    texts = {"README.md": "Mine", "Makefile": "all:\n", "notes.txt": "x"}
    for name, text in texts.items():
        (folder / name).write_text(text)
    init(str(folder))
    assert {name: (folder / name).read_text() for name in texts} == texts
    assert "kept your Makefile;" in capsys.readouterr().out


def test_ignored_and_required_files_get_more_lines(folder):
    folder.mkdir()
    (folder / ".gitignore").write_text("secret\n")
    (folder / "requirements.txt").write_text("xgboost\n")
    create_workspace(folder, git=False)
    assert (folder / "requirements.txt").read_text() == (
        f"xgboost\nhourglass=={installed_version()}\n"
    )
    expected = f"secret\n{(ROOT / '.gitignore').read_text()}"
    assert (folder / ".gitignore").read_text() == expected


def test_a_file_to_extend_that_is_no_text_is_named_and_nothing_is_written(folder, refusal):
    folder.mkdir()
    (folder / ".gitignore").write_bytes("café\n".encode("latin-1"))
    assert ".gitignore is not UTF-8 text" in refusal(init, str(folder))
    assert [path.name for path in folder.iterdir()] == [".gitignore"]


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", ".dvc/config"])
def test_the_folder_of_another_pipeline_is_rejected_and_stays(folder, name, refusal):
    (folder / name).parent.mkdir(parents=True)
    (folder / name).touch()
    assert name in refusal(create_workspace, folder)
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / name]


def test_a_workspace_is_not_created_twice(folder, refusal):
    create_workspace(folder, git=False)
    assert "--upgrade" in refusal(init, str(folder))


def test_a_file_is_no_folder(folder, refusal):
    folder.touch()
    assert "is a file" in refusal(create_workspace, folder)


@pytest.mark.parametrize("blocked", ["", "..", "configs/data"])
def test_a_file_in_the_place_of_a_folder_is_rejected_and_nothing_is_written(
    tmp_path, blocked, refusal
):
    folder = tmp_path / "mine/pumps"
    blocking = folder / blocked if blocked != ".." else folder.parent
    blocking.parent.mkdir(parents=True, exist_ok=True)
    blocking.symlink_to("nowhere") if not blocked else blocking.touch()
    before = sorted(tmp_path.rglob("*"))
    assert "needs a folder" in refusal(create_workspace, folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_apply_needs_upgrade(folder, refusal):
    assert "--upgrade" in refusal(init, str(folder), apply=True)
    assert not folder.exists()


def test_a_stage_rejects_a_workspace_that_pins_another_version(folder, monkeypatch):
    create_workspace(folder, git=False)
    monkeypatch.chdir(folder)
    require_pinned_version()
    monkeypatch.setattr(installation, "installed_version", lambda: "99.1")
    expected = pytest.raises(UserError, match=r"pins hourglass .*, but 99\.1 is installed")
    with expected, stage_lock("prepare", "digits"):
        pass


def test_site_packages_do_not_come_before_the_standard_library(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "theirs")
    package = str(Path(installation.__file__).parents[2])
    assert python_path().split(":") == [package, "theirs"]
    monkeypatch.setattr("site.getsitepackages", lambda: [package])
    assert python_path() == "theirs"


def test_modules_in_src_can_be_imported_once_they_are_trusted(folder, tmp_path):
    """In a process of its own, as an import stays."""
    create_workspace(folder, git=False)
    (folder / "src/mine_alone.py").write_text("from beside import VALUE\n")
    (folder / "src/beside.py").write_text("VALUE = 7\n")
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(
        text.replace("trusted_modules: []", "trusted_modules: [mine_alone]")
    )
    code = (
        "from hourglass.core.trusted_imports import import_trusted_module, is_trusted\n"
        "from hourglass.core.code_digest import executed_modules\n"
        "assert {'mine_alone', 'beside'} <= executed_modules('mine_alone')\n"
        "assert is_trusted('mine_alone')\n"
        "print(import_trusted_module('mine_alone').VALUE)"
    )
    process = subprocess.run(
        [shutil.which("python") or "", "-c", code],
        cwd=folder, env=environment(PYTHONPATH=str(ROOT / "src")), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert process.stdout == "7\n"
