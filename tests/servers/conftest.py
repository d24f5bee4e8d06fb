"""What the tests with real servers share: the servers, and copies of the repository."""

from collections.abc import Iterator

import pytest
from hosting.postgres import find_program
from hosting.team import MEMBER, Team
from hosting.temporary import temporary_team

from hourglass.errors import Refusal
from tests.pipeline.conftest import new_project, project, snapshot  # noqa: F401 - fixtures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: a plain run of the tests starts no servers."""
    for item in items:
        if "tests/servers/" in item.path.as_posix():
            item.add_marker(pytest.mark.servers)


@pytest.fixture(scope="session")
def team() -> Iterator[Team]:
    """Give a team's servers: MLflow and Optuna's database on a PostgreSQL, on loopback."""
    try:
        find_program("initdb")
    except Refusal as refusal:
        pytest.skip(f"no PostgreSQL to start: {refusal}")
    with temporary_team() as started:
        yield started


@pytest.fixture
def variables(team) -> dict[str, str]:
    """Give a member's variables, by which a command uses the servers."""
    return team.variables(MEMBER, team.secrets["hourglass"])


@pytest.fixture
def as_member(variables, monkeypatch) -> dict[str, str]:
    """Have this process use the servers as a member does."""
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    return variables
