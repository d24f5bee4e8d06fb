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


def test_a_file_has_the_content_that_the_block_wrote(tmp_path):
    with atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_folder_replaces_its_old_content(tmp_path):
    for name in ("old", "new"):
        with atomic_folder(tmp_path / "a") as temporary:
            (temporary / name).write_text(name)
    assert names(tmp_path / "a") == ["new"]


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


def test_the_old_content_stays_while_the_block_writes(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
    (tmp_path / "a" / "old").mkdir(parents=True)
    with atomic_folder(tmp_path / "a") as temporary:
        (temporary / "new").touch()
        assert names(tmp_path / "a") == ["old"]


def fail(path: Path, context) -> None:
    """Raise in a block that has already written something."""

    def write_half() -> None:
        with context(path) as temporary:
            (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
            raise BlockFailedError

    with pytest.raises(BlockFailedError):
        write_half()


@pytest.mark.parametrize("context", [atomic_file, atomic_folder, atomic_files])
def test_a_failed_block_changes_nothing(tmp_path, context):
    path = tmp_path / "a"
    if context is atomic_file:
        path.write_text("old")
    else:
        path.mkdir()
        (path / "old").touch()
    fail(path, context)
    assert path.read_text() == "old" if path.is_file() else names(path) == ["old"]
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("context", [atomic_file, atomic_folder])
def test_a_failed_block_creates_nothing(tmp_path, context):
    fail(tmp_path / "a.txt", context)
    assert names(tmp_path) == []


@pytest.mark.parametrize("context", [atomic_file, atomic_folder])
def test_a_successful_block_leaves_its_output_alone_in_new_parent_folders(tmp_path, context):
    with context(tmp_path / "b" / "c" / "a.txt") as temporary:
        temporary.touch()
    assert names(tmp_path / "b" / "c") == ["a.txt"]


def test_the_temporary_file_has_the_suffix_of_the_target(tmp_path):
    with atomic_file(tmp_path / "a.npy") as temporary:
        assert temporary.suffix == ".npy"
        temporary.touch()


def test_fsync_flushes_each_file_and_its_folder(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino))
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    fsync_all(tmp_path / name for name in ("a", "b"))
    assert sorted(flushed) == sorted(
        path.stat().st_ino for path in (tmp_path / "a", tmp_path / "b", tmp_path)
    )


def test_an_error_on_a_full_disk_names_the_disk(tmp_path, monkeypatch, refusal):
    """Also for a library whose error does not mention it: the free space decides."""
    usage = SimpleNamespace(free=0)
    monkeypatch.setattr("hourglass.core.atomic.shutil.disk_usage", lambda path: usage)

    def write() -> None:
        with atomic_file(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise BlockFailedError

    sentence = refusal(write)
    assert "a.txt: the disk is full" in sentence
    assert names(tmp_path) == []
    usage.free = 1 << 30
    with pytest.raises(BlockFailedError):
        write()


def test_text_has_unix_line_ends_and_utf_8(tmp_path):
    write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


def test_json_survives_a_round_trip(tmp_path):
    value = {"b": [1, 0.1, None], "a": "é"}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_without_json_leave_the_old_content(tmp_path, value):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", [value])
    assert (tmp_path / "a.json").read_text() == "1\n"


@pytest.mark.parametrize("content", [b"", b"abc", bytes(3_000_000)])
def test_sha256_is_that_of_the_bytes(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
