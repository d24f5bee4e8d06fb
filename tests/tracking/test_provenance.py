"""The provenance of a result: facts about git are optional."""

import subprocess

import pytest

from hourglass.tracking import provenance


@pytest.mark.parametrize("missing", ["program", "repository"])
def test_without_git_there_is_no_commit(tmp_path, monkeypatch, capfd, missing):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if missing == "program":
        monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.tags().keys() == {"hourglass.version", "python", "torch", "platform"}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changed", "is_changed"),
    [("dvc.lock", "false"), ("data/.gitignore", "false"), ("params.yaml", "true")],
)
def test_files_that_dvc_writes_are_no_uncommitted_changes(
    tmp_path, monkeypatch, changed, is_changed
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("dvc.lock", "data/.gitignore", "params.yaml"):
        (tmp_path / name).write_text("before")
    who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "files"]):
        subprocess.run(["git", *words], check=True)
    (tmp_path / changed).write_text("after")
    monkeypatch.chdir(tmp_path / "data")
    assert provenance.tags()["git.uncommitted_changes"] == is_changed
