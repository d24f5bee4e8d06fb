"""`hourglass init --upgrade`: changes of the template and of the user, merged and shown first."""

import json
from pathlib import Path

import pytest

from hourglass.cli import workspace_upgrade
from hourglass.cli.init import create_workspace, init
from hourglass.cli.template import workspace_files
from hourglass.core.paths import WORKSPACE_RECORD

BASE = "".join(f"line {number}\n" for number in range(9))
THEIRS = BASE.replace("line 8", "theirs")  # what the new version writes
MINE = BASE.replace("line 0", "mine")


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    create_workspace(tmp_path, git=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def release(workspace, monkeypatch):
    """Give a function that installs version 2 with other files, and sets those of version 1."""

    def install(last: dict[str, str], new: dict[str, str]) -> None:
        for name, files in {"last": last, "new": new}.items():
            files |= {"requirements.txt": f"hourglass=={1 if name == 'last' else 2}\n"}
        record = {"version": "1", "files": last}
        (workspace / WORKSPACE_RECORD).write_text(json.dumps(record))
        (workspace / "requirements.txt").write_text("hourglass==1\n")
        monkeypatch.setattr(workspace_upgrade, "workspace_files", lambda: dict(new))
        monkeypatch.setattr(workspace_upgrade, "installed_version", lambda: "2")

    return install


def test_a_new_workspace_has_nothing_to_change(workspace, capsys):
    init(upgrade=True)
    assert capsys.readouterr().out.startswith("nothing to change")


@pytest.mark.parametrize(
    ("mine", "last", "new", "expected"),
    [
        pytest.param(BASE, BASE, THEIRS, THEIRS, id="changed by the version"),
        pytest.param(MINE, BASE, BASE, MINE, id="changed by the user"),
        pytest.param(THEIRS, BASE, THEIRS, THEIRS, id="the same change by both"),
        pytest.param(
            MINE, BASE, THEIRS, MINE.replace("line 8", "theirs"), id="different lines by both"
        ),
        pytest.param(None, BASE, THEIRS, None, id="deleted by the user"),
        pytest.param(None, None, THEIRS, THEIRS, id="new in the version"),
        pytest.param(MINE, BASE, None, MINE, id="dropped by the version"),
        pytest.param(MINE, BASE, BASE.replace("line 0", "other"), MINE, id="conflict"),
        pytest.param(MINE, None, THEIRS, MINE, id="new in the version, and by the user"),
    ],
)
def test_changes_of_both_sides_are_kept(workspace, release, mine, last, new, expected, capsys):
    path = workspace / "file"
    release(*({"file": text} if text is not None else {} for text in (last, new)))
    if mine is not None:
        path.write_text(mine)
    init(upgrade=True)
    assert (path.read_text() if path.exists() else None) == mine  # nothing is written yet
    assert "--upgrade --apply" in capsys.readouterr().out
    init(upgrade=True, apply=True)
    assert (path.read_text() if path.exists() else None) == expected


def test_of_a_conflict_the_new_version_is_written_next_to_the_file(workspace, release, capsys):
    other = BASE.replace("line 0", "other")
    release({"file": BASE}, {"file": other})
    (workspace / "file").write_text(MINE)
    init(upgrade=True)
    assert not (workspace / "file.new").exists()
    init(upgrade=True, apply=True)
    assert (workspace / "file.new").read_text() == other
    output = capsys.readouterr().out
    assert "conflict in file" in output
    assert "-line 0\n+other\n" in output  # not the user's line


def test_the_file_of_an_earlier_conflict_is_not_overwritten(workspace, release, refusal):
    new = {"file": BASE.replace("line 0", "new"), "other": "2"}
    release({"file": BASE, "other": "1"}, new)
    texts = {"file": MINE, "file.new": "half merged", "other": "1"}
    for name, text in texts.items():
        (workspace / name).write_text(text)
    assert "file.new of an earlier upgrade" in refusal(init, upgrade=True, apply=True)
    assert {name: (workspace / name).read_text() for name in texts} == texts


def test_without_git_files_changed_by_both_are_conflicts(workspace, release, monkeypatch):
    monkeypatch.setenv("PATH", "")
    release({"file": BASE}, {"file": THEIRS})
    (workspace / "file").write_text(MINE)
    init(upgrade=True, apply=True)
    assert (workspace / "file").read_text() == MINE
    assert (workspace / "file.new").read_text() == THEIRS


def test_the_diff_shows_the_lines_that_change(workspace, release, capsys):
    release({"file": BASE}, {"file": THEIRS})
    (workspace / "file").write_text(BASE)
    init(upgrade=True)
    output = capsys.readouterr().out
    assert "-line 8\n+theirs\n" in output
    assert "-hourglass==1\n+hourglass==2\n" in output


def test_the_pin_changes_and_other_requirements_stay(workspace, release):
    release({}, {})
    (workspace / "requirements.txt").write_text("numpy\nhourglass==1\nxgboost==3\n")
    init(upgrade=True, apply=True)
    assert (workspace / "requirements.txt").read_text() == "numpy\nhourglass==2\nxgboost==3\n"


def test_a_second_upgrade_has_nothing_to_change(workspace, release, capsys):
    release({"file": BASE}, {"file": BASE.replace("line 0", "other")})
    (workspace / "file").write_text(MINE)  # a conflict is reported once
    init(upgrade=True, apply=True)
    capsys.readouterr()
    init(upgrade=True)
    assert capsys.readouterr().out.startswith("nothing to change")


def test_the_grid_of_a_workspace_is_a_change_by_the_user(tmp_path):
    create_workspace(tmp_path, data=["mine"], models=["linear"], git=False)
    template = workspace_files()
    new = template | {"params.yaml": template["params.yaml"] + "added: 1\n"}
    upgrade = workspace_upgrade.compute_upgrade(tmp_path, template, new)
    mine = (tmp_path / "params.yaml").read_text()
    assert upgrade.merged == {"params.yaml": f"{mine}added: 1\n"}


def test_other_folders_are_rejected(tmp_path, refusal):
    assert "git pull" in refusal(init, str(tmp_path), upgrade=True)
    (tmp_path / WORKSPACE_RECORD).write_text("{")
    assert "corrupt" in refusal(init, str(tmp_path), upgrade=True)


def test_a_file_that_is_no_text_is_named(workspace, refusal):
    (workspace / "dvc.yaml").write_bytes(b"\xff\xfe")
    assert "dvc.yaml is not UTF-8" in refusal(init, upgrade=True)
