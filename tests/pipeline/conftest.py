"""What the tests of whole stages share: working folders."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .workspaces import RECORDED, FakeRecorder, Project, copy_repository, set_up, working_in


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory) -> Path:
    """Give a copy of the repository as it is when the tests begin; nobody works in it."""
    return copy_repository(tmp_path_factory.mktemp("snapshot")).folder


@pytest.fixture(scope="session")
def new_project(snapshot, tmp_path_factory) -> Callable[[], Project]:
    """Give a function that makes one more copy of the repository, for a test to work in."""

    def make() -> Project:
        folder = tmp_path_factory.mktemp("project") / "hourglass"
        return Project(Path(shutil.copytree(snapshot, folder)))

    return make


@pytest.fixture
def project(new_project) -> Project:
    """Give a copy of the repository."""
    return new_project()


@pytest.fixture
def stage_folder(tmp_path):
    """Give a working folder, which is the current one, for stages of this process."""
    folder = set_up(tmp_path / "workspace")
    with working_in(folder):
        yield folder


@pytest.fixture
def recorder(monkeypatch) -> FakeRecorder:
    """Give what the stages of this process record, in memory."""
    fake = FakeRecorder()
    for stage in RECORDED:
        monkeypatch.setattr(f"hourglass.stages.{stage}.Recorder", fake)
    return fake
