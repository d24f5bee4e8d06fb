"""The provenance of a result: facts about git are optional."""

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
