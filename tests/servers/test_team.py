"""The servers of a team: access, secrets, and repeated starts."""

import base64
import os
import stat
import subprocess
import sys
import urllib.error
import urllib.request

import mlflow
import psutil
import psycopg
import pytest
from hosting.processes import free_port
from hosting.team import MEMBER, STUDIES
from mlflow.server import get_app_client

from tests.workspaces import ROOT

pytestmark = pytest.mark.servers


class AcceptAnyStatus(urllib.request.HTTPErrorProcessor):
    """Return responses of every status instead of raising an error."""

    def http_response(self, request, response):
        return response


def test_only_members_have_access(as_member, monkeypatch):
    client = mlflow.MlflowClient(as_member["MLFLOW_TRACKING_URI"])
    assert client.search_experiments()
    for password in ("", "wrong", "password1234"):
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        with pytest.raises(mlflow.exceptions.MlflowException, match=r"401|authenticated"):
            client.search_experiments()


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Host", "lab7.test", 200),
        ("Host", "evil.test", 403),
        ("Origin", "https://lab7.test", 200),
        ("Origin", "https://evil.test", 403),
    ],
)
def test_a_member_has_access_only_by_the_names_of_the_team(team, variables, header, value, status):
    login = ":".join(variables[f"MLFLOW_TRACKING_{each}"] for each in ("USERNAME", "PASSWORD"))
    headers = {
        "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}",
        "Content-Type": "application/json",
        header: value,
    }
    address = f"{team.tracking.url}/api/2.0/mlflow/experiments/search"
    request = urllib.request.Request(address, b'{"max_results": 1}', headers)
    response = urllib.request.build_opener(AcceptAnyStatus()).open(request)
    assert response.status == status


def test_the_role_of_studies_cannot_read_the_users_of_mlflow(team):
    database, secret = team.database, team.secrets["optuna"]
    database.connect(STUDIES, user=STUDIES, password=secret).close()
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        database.connect(team.tracking.USERS, user=STUDIES, password=secret)
    with pytest.raises(psycopg.OperationalError, match="password"):
        database.connect(STUDIES, user=STUDIES, password="wrong")


def test_secrets_are_only_in_private_files_and_never_on_a_command_line_or_in_a_log(team):
    secrets = list(team.secrets.values())
    lines = [each.info["cmdline"] for each in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if any(each in " ".join(line or []) for each in secrets)]
    holding = [
        path
        for path in team.folder.rglob("*")
        if path.is_file() and any(each in path.read_text(errors="ignore") for each in secrets)
    ]
    assert {path.name for path in holding} == {"passwords.json", "pgpass", f"{MEMBER}.env"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}


def test_all_servers_listen_on_loopback_only(team):
    ports = {team.port, team.postgres_port}
    listening = [
        each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN
    ]
    found = {(each.laddr.ip, each.laddr.port) for each in listening if each.laddr.port in ports}
    assert found == {("127.0.0.1", port) for port in ports}


def test_starting_again_keeps_everything_running(team):
    before = team.tracking.pid_file.read_text()
    member = team.start()
    assert team.tracking.pid_file.read_text() == before
    sourced = subprocess.run(
        ["sh", "-c", f". {member}; env"], capture_output=True, text=True, check=True
    ).stdout
    expected = team.variables(MEMBER, team.secrets["hourglass"])
    assert {f"{key}={value}" for key, value in expected.items()} <= set(sourced.splitlines())


def test_a_new_member_has_a_file_of_variables_and_no_administrator_rights(team, monkeypatch):
    text = team.add("ada").read_text()
    found = dict(line.removeprefix("export ").split("=", 1) for line in text.splitlines())
    for key in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(key, found[key])
    assert mlflow.MlflowClient(team.tracking.url).search_experiments()
    assert not team.tracking.add_user("ada", "another password")
    with pytest.raises(mlflow.exceptions.MlflowException, match=r"403|ermission"):
        get_app_client("basic-auth", team.tracking.url).create_user("eve", "a password of eve")


def test_an_existing_postgresql_is_used_and_left_running(team, tmp_path):
    variables = {
        **os.environ,
        "PGHOST": team.database.host,
        "PGPORT": str(team.database.port),
        "PGUSER": "postgres",
        "PGPASSWORD": team.secrets["postgres"],
        "PYTHONPATH": f"{ROOT / 'src'}",
    }
    command = [sys.executable, ROOT / "scripts/server.py"]
    done = subprocess.run(
        [*command, "start", "--folder", tmp_path], env=variables, capture_output=True, text=True
    )
    # Another folder has other passwords than the roles have.
    assert done.returncode == 1
    assert "hourglass_optuna" in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(each in done.stderr for each in team.secrets.values())
    (tmp_path / "passwords.json").write_text((team.folder / "passwords.json").read_text())
    port = free_port()
    options = ["--folder", str(tmp_path), "--port", str(port), "--workers", "1"]
    try:
        subprocess.run([*command, "start", *options], env=variables, check=True)
        assert not (tmp_path / "postgresql").exists()
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
    finally:
        subprocess.run([*command, "stop", *options], env=variables, check=True)
    team.database.connect().close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
