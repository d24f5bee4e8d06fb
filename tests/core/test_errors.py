"""Every library that writes for us, on a disk without room: /dev/full is one."""

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass.core.errors import operating_system_error

FULL = Path("/dev/full")
needs_full_device = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def error_of(action: Callable[..., Any], *args: Any) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        action(*args)
    return caught.value


def save_weights(path: Path) -> None:
    import torch

    torch.save({"a": torch.zeros(100_000)}, path)


@needs_full_device
@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("x" * 100_000),
        lambda path: np.save(path.open("wb"), np.zeros(100_000)),
        lambda path: pd.DataFrame({"a": np.arange(100_000)}).to_csv(path),
        lambda path: pd.DataFrame({"a": np.arange(100_000)}).to_parquet(path),
        save_weights,
    ],
    ids=["text", "numpy", "csv", "parquet", "torch"],
)
def test_a_full_disk_is_one_sentence_whoever_writes(write):
    said = operating_system_error(error_of(write, FULL))
    assert said
    assert "the disk is full; make room" in said
    assert said.endswith(".")
    assert ". " not in said


def test_a_full_database_is_a_full_disk(tmp_path):
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("PRAGMA max_page_count = 3")
    connection.execute("CREATE TABLE t (x)")
    rows = [("x" * 1000,)] * 100
    error = error_of(connection.executemany, "INSERT INTO t VALUES (?)", rows)
    assert "the disk is full" in (operating_system_error(error) or "")


def test_an_array_cut_short_is_a_full_disk():
    assert "the disk is full" in (
        operating_system_error(OSError("722 requested and 486 written")) or ""
    )


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_disk_that_may_not_be_written_is_named(number):
    said = operating_system_error(OSError(number, os.strerror(number), "runs/a.json"))
    assert said
    assert said.startswith("runs/a.json: ")
    assert said.endswith(".")


def test_of_two_files_it_is_the_one_that_was_to_be_written():
    error = OSError(errno.ENOSPC, "No space left on device", "from", None, "to")
    assert (operating_system_error(error) or "").startswith("to: ")


def test_the_reason_is_found_behind_what_a_library_makes_of_it():
    error = RuntimeError("it could not be saved")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device", "a.ckpt")
    assert (operating_system_error(error) or "").startswith("a.ckpt: the disk is full")


@pytest.mark.parametrize(
    "error", [ValueError("1 + 1"), FileNotFoundError(errno.ENOENT, "No such file", "a"), KeyError()]
)
def test_what_no_disk_is_the_reason_of_is_no_trouble_of_one(error):
    assert operating_system_error(error) is None
