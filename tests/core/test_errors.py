"""Errors of the operating system become sentences; /dev/full stands for a full disk."""

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
def test_a_full_disk_becomes_one_sentence_for_every_writer(write):
    sentence = operating_system_error(error_of(write, FULL))
    assert sentence
    assert "the disk is full; free some space" in sentence.lower()
    assert sentence.endswith(".")
    assert ". " not in sentence


def test_a_full_database_is_a_full_disk(tmp_path):
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("PRAGMA max_page_count = 3")
    connection.execute("CREATE TABLE t (x)")
    rows = [("x" * 1000,)] * 100
    error = error_of(connection.executemany, "INSERT INTO t VALUES (?)", rows)
    assert (operating_system_error(error) or "").startswith("The disk is full")


def test_an_incomplete_array_means_a_full_disk():
    sentence = operating_system_error(OSError("722 requested and 486 written"))
    assert (sentence or "").startswith("The disk is full")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_the_sentence_names_the_file_without_permission(number):
    sentence = operating_system_error(OSError(number, os.strerror(number), "runs/a.json"))
    assert sentence
    assert sentence.startswith("runs/a.json: ")
    assert sentence.endswith(".")


def test_the_sentence_names_the_target_of_a_copy():
    error = OSError(errno.ENOSPC, "No space left on device", "from", None, "to")
    assert (operating_system_error(error) or "").startswith("to: ")


def test_the_cause_of_a_library_s_error_counts():
    error = RuntimeError("it could not be saved")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device", "a.ckpt")
    assert (operating_system_error(error) or "").startswith("a.ckpt: the disk is full")


@pytest.mark.parametrize(
    "error", [ValueError("1 + 1"), FileNotFoundError(errno.ENOENT, "No such file", "a"), KeyError()]
)
def test_other_errors_are_not_attributed_to_the_system(error):
    assert operating_system_error(error) is None
