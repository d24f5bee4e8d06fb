"""A cell that went through all stages, recorded by the recording processes of the stages."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.stages.train import train
from tests.tracking.stored import CELL, Row, make_workspace, rows
from tests.workspaces import working_in


@pytest.fixture(scope="package")
def workspace(tmp_path_factory) -> Path:
    """Give the working folder of that cell; tests only read it."""
    folder = make_workspace(tmp_path_factory.mktemp("mlflow") / "workspace")
    with working_in(folder):
        train(*CELL)
        calibrate_threshold(*CELL)
        evaluate(*CELL)
    return folder


@pytest.fixture(scope="package")
def first(workspace) -> Row:
    """Give its only run."""
    (row,) = rows(workspace)
    return row


@pytest.fixture(scope="package")
def new_clone(workspace, tmp_path_factory) -> Callable[[], Path]:
    """Give a function that copies the working folder without its MLflow store."""
    ignored = shutil.ignore_patterns("mlflow.db*", "mlruns", "checkpoints")

    def make() -> Path:
        folder = tmp_path_factory.mktemp("clone") / "clone"
        return Path(shutil.copytree(workspace, folder, ignore=ignored))

    return make


@pytest.fixture
def clone(new_clone) -> Path:
    """Give a copy of the working folder without its MLflow store."""
    return new_clone()
