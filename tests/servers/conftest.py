"""What the tests with real servers share: the servers, and copies of the repository."""

from collections.abc import Iterator

import pytest
from hosting.postgres import find_program
from hosting.team import MEMBER, Team
from hosting.temporary import temporary_team

from hourglass.core.errors import UserError


@pytest.fixture(scope="session")
def postgresql() -> None:
    """Skip, and say so, where there is no PostgreSQL to start."""
    try:
        find_program("initdb")
    except UserError as refusal:
        pytest.skip(str(refusal))


@pytest.fixture(scope="session")
def team(postgresql) -> Iterator[Team]:
    """Give a team's servers: MLflow and Optuna's database on a PostgreSQL, on loopback."""
    with temporary_team("lab7.test") as started:
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
