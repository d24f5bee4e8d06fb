"""Fixtures of the tests with real servers."""

from collections.abc import Iterator

import pytest
from hosting.postgres import find_program
from hosting.team import MEMBER, Team, temporary_team

from hourglass.core.errors import UserError


@pytest.fixture(scope="session")
def postgresql() -> None:
    """Skip if PostgreSQL is not installed."""
    try:
        find_program("initdb")
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def team(postgresql) -> Iterator[Team]:
    """Give the servers of a team on loopback: MLflow and Optuna's database on PostgreSQL."""
    with temporary_team("lab7.test") as started:
        yield started


@pytest.fixture
def variables(team) -> dict[str, str]:
    """Give the environment variables of a member."""
    return team.variables(MEMBER, team.secrets["hourglass"])


@pytest.fixture
def as_member(variables, monkeypatch) -> dict[str, str]:
    """Set the environment variables of a member in this process."""
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    return variables
