"""A file larger than the memory trains within the memory of its order and some batches."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_twenty_gigabytes_train_in_a_fraction_of_that(repository):
    command = [sys.executable, "scripts/sparse.py", "--gigabytes", "20", "--steps", "50"]
    done = subprocess.run(
        [*command, "--residency", "stream"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["data_gigabytes"] == pytest.approx(20, rel=1e-3)
    assert found["kept"] == "stream"
    assert found["peak_gigabytes"] < 0.5  # 8 bytes a row for the order, and some batches
