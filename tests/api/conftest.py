"""A workspace with evaluated cells, shared by the tests of the Python API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hourglass.stages.baselines import baselines
from hourglass.stages.evaluate import evaluate
from tests.stages.cells import no_figures
from tests.workspaces import FakeRecorder, calibrated, set_up, working_in

TABLE, IMAGES = ("breast_cancer", "undercomplete"), ("digits", "convolutional")


@pytest.fixture(scope="package")
def evaluated(tmp_path_factory) -> Path:
    """Give a workspace with the evaluated cells TABLE and IMAGES; tests do not write to it."""
    folder = set_up(tmp_path_factory.mktemp("api") / "workspace")
    with working_in(folder, FakeRecorder()), no_figures():
        calibrated(TABLE, IMAGES)
        for cell in (TABLE, IMAGES):
            evaluate(*cell)
        baselines(TABLE[0])
    return folder


@pytest.fixture
def in_workspace(evaluated) -> Iterator[Path]:
    """Work in the workspace of the evaluated cells."""
    with working_in(evaluated):
        yield evaluated
