"""Training on a file larger than memory: peak memory is that of the order and a few batches."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_twenty_gigabytes_train_in_a_fraction_of_that_memory(repository):
    command = [sys.executable, "scripts/sparse.py", "--gigabytes", "20", "--steps", "50"]
    done = subprocess.run(
        [*command, "--residency", "stream"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(done.stdout)
    assert measured["data_gigabytes"] == pytest.approx(20, rel=1e-3)
    assert measured["kept"] == "stream"
    assert measured["peak_gigabytes"] < 0.5  # 8 bytes per row for the order, and some batches
