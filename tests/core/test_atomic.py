import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from hourglass.core.atomic import (
    atomic_file,
    atomic_files,
    atomic_folder,
    fsync_all,
    sha256,
    write_json,
    write_text,
)


class BlockFailedError(Exception):
    pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_keeps_its_old_content_until_the_block_ends(tmp_path):
    path = tmp_path / "new folder" / "a.npy"
    for text in ("old", "new"):
        with atomic_file(path) as temporary:
            assert temporary.suffix == ".npy"
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(path.parent) == ["a.npy"]


def test_a_folder_keeps_its_old_content_until_the_block_ends(tmp_path):
    path = tmp_path / "new folder" / "a"
    for name in ("old", "new"):
        with atomic_folder(path) as temporary:
            (temporary / name).write_text(name)
            assert not path.exists() or names(path) == ["old"]
    assert names(path) == ["new"]
    assert names(path.parent) == ["a"]


def test_files_join_a_folder_and_replace_files_of_the_same_name(tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    for text in ("old", "new"):
        with atomic_files(tmp_path) as temporary:
            (temporary / "a.txt").write_text(text)
            (temporary / "figures").mkdir()
            (temporary / "figures" / text).write_text(text)
    assert names(tmp_path) == ["a.txt", "figures", "kept.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path / "figures") == ["new"]


def fail(path: Path, context) -> None:
    """Raise in a block that has already written something."""
    with context(path) as temporary:
        (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
        raise BlockFailedError


@pytest.mark.parametrize("old", [True, False], ids=["old content", "nothing"])
@pytest.mark.parametrize("context", [atomic_file, atomic_folder, atomic_files])
def test_a_failed_block_changes_nothing(tmp_path, context, old):
    path = tmp_path / "a"
    if context is not atomic_file and (old or context is atomic_files):
        path.mkdir()
    if old:
        (path if context is atomic_file else path / "old").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BlockFailedError):
        fail(path, context)
    assert sorted(tmp_path.rglob("*")) == before
    assert not path.is_file() or path.read_text() == "old"


def test_fsync_flushes_each_file_and_its_folder(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino))
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.touch()
    fsync_all(iter(paths))
    assert sorted(flushed) == sorted(path.stat().st_ino for path in [*paths, tmp_path])


def test_an_error_on_a_full_disk_names_the_disk(tmp_path, monkeypatch, refusal):
    """Also for a library whose error does not mention it: the free space decides."""
    usage = SimpleNamespace(free=0)
    monkeypatch.setattr("hourglass.core.atomic.shutil.disk_usage", lambda path: usage)
    assert "a.txt: the disk is full" in refusal(fail, tmp_path / "a.txt", atomic_file)
    assert names(tmp_path) == []
    usage.free = 1 << 30
    with pytest.raises(BlockFailedError):
        fail(tmp_path / "a.txt", atomic_file)


def test_text_has_unix_line_ends_and_utf_8(tmp_path):
    write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


@pytest.mark.parametrize("invalid", [float("nan"), float("inf")])
def test_json_survives_a_round_trip_and_values_without_json_change_nothing(tmp_path, invalid):
    path, value = tmp_path / "a.json", {"b": [1, 0.1, None], "a": "é"}
    write_json(path, value)
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, [invalid])
    assert json.loads(path.read_text(encoding="utf-8")) == value


@pytest.mark.parametrize("content", [b"", bytes(3_000_000)])
def test_sha256_is_that_of_the_bytes(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
