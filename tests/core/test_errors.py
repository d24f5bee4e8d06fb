"""Errors of the operating system become sentences; /dev/full stands for a full disk."""

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass.core.errors import operating_system_error

FULL = Path("/dev/full")


def error_of(action: Callable[..., Any], *args: Any) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        action(*args)
    return caught.value


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("x" * 100_000),
        lambda path: np.save(path.open("wb"), np.zeros(100_000)),
        lambda path: pd.DataFrame({"a": np.arange(100_000)}).to_csv(path),
        lambda path: pd.DataFrame({"a": np.arange(100_000)}).to_parquet(path),
        lambda path: torch.save({"a": torch.zeros(100_000)}, path),
    ],
    ids=["text", "numpy", "csv", "parquet", "torch"],
)
def test_a_full_disk_becomes_one_sentence_for_every_writer(write):
    sentence = operating_system_error(error_of(write, FULL)) or ""
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


def caused_by(cause: Exception) -> Exception:
    error = RuntimeError("it could not be saved")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "beginning"),
    [
        (OSError("722 requested and 486 written"), "The disk is full"),  # an incomplete array
        (OSError(errno.EROFS, "", "runs/a.json"), "runs/a.json: the file system is read-only"),
        (OSError(errno.EACCES, "", "runs/a.json"), "runs/a.json: permission denied"),
        (OSError(errno.EPERM, "", "runs/a.json"), "runs/a.json: operation not permitted"),
        (OSError(errno.ENOSPC, "", "from", None, "to"), "to: the disk is full"),  # a copy
        (caused_by(OSError(errno.ENOSPC, "", "a.ckpt")), "a.ckpt: the disk is full"),
    ],
    ids=str,
)
def test_an_error_of_the_system_becomes_a_sentence_that_names_the_file(error, beginning):
    sentence = operating_system_error(error) or ""
    assert sentence.startswith(f"{beginning}; ")
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    "error", [ValueError("1 + 1"), FileNotFoundError(errno.ENOENT, "No such file", "a"), KeyError()]
)
def test_other_errors_are_not_attributed_to_the_system(error):
    assert operating_system_error(error) is None
