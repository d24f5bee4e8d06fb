"""The experiment that has a missing cell."""

import subprocess

import pytest

from hourglass.core.errors import UserError
from hourglass.core.paths import Cell


def git(*words: str) -> str:
    author = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    command = ["git", *author, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_missing_cell_names_the_experiment_that_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    for name, data in (("one", "digits"), ("two", "pumps")):
        (tmp_path / "params.yaml").write_text(f"data: [{data}]\nmodels: [linear]\n")
        git("add", "params.yaml")
        git("commit", "--quiet", "--message", name)
        commit = git("rev-parse", "HEAD")
        git("update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/{name}", commit)
    for name, params in (("broken", "data: ["), ("empty", ""), ("null", "data:\nmodels:\n")):
        (tmp_path / "params.yaml").write_text(params)
        git("commit", "--quiet", "--all", "--message", name)
        commit = git("rev-parse", "HEAD")
        git("update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/{name}", commit)
    git("update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    with pytest.raises(UserError, match="`dvc exp apply two` restores the experiment"):
        Cell("pumps", "linear").require("train")
    with pytest.raises(UserError, match="`dvc exp apply one` restores the experiment"):
        Cell("digits", "linear").require("train")
    with pytest.raises(UserError, match=r"is missing; run `hourglass train digits stacked`"):
        Cell("digits", "stacked").require("train")


def test_a_folder_without_git_has_no_experiments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match=r"is missing; run `hourglass train digits linear`"):
        Cell("digits", "linear").require("train")
