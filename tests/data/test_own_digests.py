"""Digests of the files in data/own that a data set names."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from hourglass.core.errors import UserError
from hourglass.data.own_digests import own_digests

LAST = Path("runs/.snapshot/data/mine.json")


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch) -> Path:
    """Give data/own with two files, in a folder under DVC that is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    Repo.init(str(tmp_path), no_scm=True).close()
    folder = tmp_path / "data/own"
    folder.mkdir(parents=True)
    (folder / "mine.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (folder / "more.csv").write_text("a,b\n3,4\n", encoding="utf-8")
    return folder


def settings(*paths: str) -> dict[str, Any]:
    return {"init_args": {"label": "kind", "paths": list(paths)}}


def test_a_file_that_the_settings_name_has_its_md5(own):
    md5 = hashlib.md5((own / "mine.csv").read_bytes(), usedforsecurity=False).hexdigest()
    for path in ("data/own/mine.csv", "./data/own/mine.csv", str(own / "mine.csv")):
        assert own_digests(settings(path), LAST) == {path: md5}


def test_files_that_the_settings_do_not_name_do_not_count(own):
    before = own_digests(settings("data/own/mine.csv"), LAST)
    (own / "more.csv").write_text("changed", encoding="utf-8")
    assert own_digests(settings("data/own/mine.csv"), LAST) == before
    assert own_digests({"class_path": "hourglass.data.digits.Digits"}, LAST) == {}
    assert own_digests(settings("data/raw/mine.csv", "data/own/../mine.csv"), LAST) == {}


def test_a_change_to_any_image_of_a_folder_changes_its_digest(own):
    (own / "images/good").mkdir(parents=True)
    image = own / "images/good/1.png"
    image.write_bytes(b"one")
    before = own_digests(settings("data/own/images"), LAST)
    image.write_bytes(b"two")
    assert own_digests(settings("data/own/images"), LAST).keys() == before.keys()
    assert own_digests(settings("data/own/images"), LAST) != before


def test_a_missing_file_keeps_the_digest_of_the_last_snapshot_or_is_rejected(own, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(Path.cwd()))  # as DVC does
    LAST.parent.mkdir(parents=True)
    LAST.write_text('{"code": "x", "own": {"data/own/gone.csv": "abc"}}', encoding="utf-8")
    assert own_digests(settings("data/own/gone.csv"), LAST) == {"data/own/gone.csv": "abc"}
    with pytest.raises(UserError, match=r"data/own/other\.csv does not exist at \S+; correct"):
        own_digests(settings("data/own/other.csv"), LAST)


def test_a_folder_outside_dvc_or_git_is_named(own):
    for reason in ("not a git repository", "not inside of a DVC repository"):
        Path(".dvc/config").unlink(missing_ok=True)  # `no_scm`
        with pytest.raises(UserError, match=reason):
            own_digests(settings("data/own/mine.csv"), LAST)
        shutil.rmtree(".dvc", ignore_errors=True)
