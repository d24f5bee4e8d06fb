"""Command `ui`: the addresses it prints, the port it takes, and the server that it stops."""

import shutil
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from hourglass.cli import ui as command
from hourglass.cli.ui import ui
from tests.workspaces import ROOT, Project, working_in

LINKS = {"Leaderboard": "#/experiments/1/runs?a", "Codes": "#/experiments/1/runs?b"}


@pytest.fixture
def busy() -> Iterator[int]:
    """Give a port on which a server listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_busy_port_is_refused_and_the_default_moves_on(busy, monkeypatch, refusal):
    assert f"port {busy} is in use" in refusal(ui, port=busy)
    monkeypatch.setattr(command, "FIRST_PORT", busy)
    assert busy < command._free_port(None) < busy + command.PORTS


@pytest.mark.parametrize("port", [0, -1, 2**16])
def test_an_invalid_port_is_refused(tmp_path, refusal, port):
    with working_in(tmp_path):
        assert str(port) in refusal(ui, port=port)


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Give the addresses that a browser is asked to open, with saved views of a remote server."""
    found: list[str] = []
    monkeypatch.setattr(command, "_links", lambda: LINKS)
    monkeypatch.setattr(command.webbrowser, "open", found.append)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@mlflow.example/team/")
    return found


@pytest.mark.parametrize("has_display", [True, False])
@pytest.mark.parametrize("open", [True, False])
def test_a_server_is_named_without_its_password(opened, monkeypatch, capsys, open, has_display):
    monkeypatch.setattr(command, "_has_display", lambda: has_display)
    ui(open=open)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == [
        f"https://mlflow.example/team/{link}" for link in LINKS.values()
    ]
    assert opened == ([lines[0].split()[-1]] if open and has_display else [])


def test_a_port_contradicts_a_server(opened, refusal):
    assert "MLFLOW_TRACKING_URI" in refusal(ui, port=5001)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_the_server_answers_until_the_command_is_stopped(tmp_path, stop):
    (tmp_path / "configs").mkdir()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    port = command._free_port(None)
    words = (str(ROOT / "src/hourglass"), "ui", "--no-open", "--port", str(port))
    process = Project(tmp_path).start(sys.executable, *words)
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(4)]
    assert lines[-1] == "Press Ctrl-C to stop.\n", process.communicate()
    address = f"http://127.0.0.1:{port}/"
    assert lines[0].split()[-1].startswith(f"{address}#/experiments/1/runs?workflowType=")
    with urllib.request.urlopen(address, timeout=10) as page:
        assert b"MLflow" in page.read()
    process.send_signal(stop)
    assert process.communicate(timeout=60)[0].strip() == "stopped"
    assert process.returncode == 0
    assert command._free_port(port) == port
