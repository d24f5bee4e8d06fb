"""A command in a fork of the server behaves as in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from hourglass.core.fork_server import server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the fork server")

SERVER = Path(server.__file__)
OTHER_USER = 12345
IMPORTED = "print('wave' in sys.modules)"
# Starts as `python src/hourglass` does, then prints what a program can observe.
COMMAND = """
import sys
sys.path.insert(0, {source!r})
from hourglass.core.fork_server.client import run_in_fork_server
if __name__ == "__main__" and "in_fork" not in globals():
    run_in_fork_server({{"path": sys.argv[0]}})
import json, os, signal, time
def observe():
    seen = dict(argv=sys.argv, cwd=os.getcwd(), stdin=sys.stdin.read(), name=__name__)
    added = ("HOURGLASS_FORK_SERVER", "MLFLOW_")  # by the server
    seen["environment"] = {{k: v for k, v in os.environ.items() if not k.startswith(added)}}
    print(json.dumps(seen))
    print("an error", file=sys.stderr)
def wait():
    print(os.getpid(), flush=True)
    time.sleep(60)
{body}
"""


@pytest.fixture
def server_folder(tmp_path):
    """Give the folder of a server that has imported `wave` and whose owner is `sleep`."""
    folder = tmp_path / "server"
    folder.mkdir(mode=0o700)
    owner = subprocess.Popen(["sleep", "60"])
    process = subprocess.Popen(
        [sys.executable, "-P", SERVER, folder, str(owner.pid), "wave"],
        env=_environment(folder),
        preexec_fn=_default_interrupt,
    )
    _wait(lambda: (folder / "socket").exists())
    yield folder
    owner.kill()
    owner.wait()
    if process.wait(10) != -signal.SIGKILL:  # as one test has it
        assert not folder.exists()


@pytest.fixture
def command(tmp_path, server_folder):
    """Give a function that starts a program, in a fork of the server or alone."""

    def start(body: str, fork: bool = True, **environment: str) -> subprocess.Popen[str]:
        program = tmp_path / "program.py"
        program.write_text(COMMAND.format(source=str(SERVER.parents[3]), body=body))
        return subprocess.Popen(
            [sys.executable, program, "an argument"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=_environment(server_folder if fork else "off") | environment,
            preexec_fn=_default_interrupt,
        )

    return start


def _environment(switch: Path | str) -> dict[str, str]:
    variables = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    return variables | {"DVC_STAGE": "test", "HOURGLASS_FORK_SERVER": str(switch)}


def _default_interrupt() -> None:
    """Restore the default reaction to Ctrl-C, which a background test run ignores."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


def _runs_in_fork(process: subprocess.Popen[str]) -> bool:
    """Return whether the program IMPORTED finds imports done."""
    output, _ = process.communicate()
    return output.strip() == "True"


def test_a_program_observes_the_same_in_a_fork_and_alone_but_imports(command):
    forked, alone = (command("observe()", fork).communicate("words\n") for fork in (True, False))
    assert json.loads(forked[0]) == json.loads(alone[0])
    assert forked[1] == alone[1] == "an error\n"
    assert _runs_in_fork(command(IMPORTED))
    assert not _runs_in_fork(command(IMPORTED, fork=False))


def test_a_fork_leaves_events_that_arrived_together_to_the_server():
    fork, job = object.__new__(server.Server), {"path": "program.py"}
    events = [lambda: setattr(fork, "job", job), pytest.fail]
    keys = [(SimpleNamespace(data=event), 0) for event in events]
    fork.running, fork.job = {1: ()}, None
    fork.events = SimpleNamespace(select=lambda: keys)
    assert fork.serve() == job


def test_a_program_started_by_a_fork_runs_in_a_fork(command):
    body = """
import subprocess
if len(sys.argv) > 1:
    del sys.argv[1]
    subprocess.run([sys.executable, *sys.argv])
else:
    print('wave' in sys.modules)
"""
    assert _runs_in_fork(command(body))


def test_another_environment_or_a_rank_runs_alone(command):
    assert not _runs_in_fork(command(IMPORTED, OMP_NUM_THREADS="7"))
    assert not _runs_in_fork(command(IMPORTED, LOCAL_RANK="7"))


def test_changed_code_is_run(command, tmp_path):
    body = f"sys.path.insert(0, {str(tmp_path)!r})\nimport changing\nprint(changing.VALUE)"
    for value in (1, 22):  # of different lengths, so that bytecode of the same second is stale
        (tmp_path / "changing.py").write_text(f"VALUE = {value}")
        assert command(body).communicate()[0] == f"{value}\n"


@pytest.mark.parametrize(
    "body",
    [
        "sys.exit(3)",
        "sys.exit('a reason')",
        "raise ValueError('a bug')",
        "print('done', flush=True); os._exit(0)",
        "import atexit; atexit.register(print, 'last'); print('first')",
        "os.kill(os.getpid(), signal.SIGTERM)",
    ],
)
def test_a_program_ends_in_a_fork_as_alone(command, body):
    outputs = []
    for fork in (True, False):
        process = command(body, fork)
        output, errors = process.communicate()
        outputs.append((process.returncode, output, errors.splitlines()[-1:]))
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_command_and_its_fork(command, number):
    process = command("wait()")
    pid = int(process.stdout.readline())
    assert pid != process.pid
    process.send_signal(number)
    assert process.wait(10) == -number
    _wait(lambda: not Path(f"/proc/{pid}").exists())


def test_a_client_that_was_killed_early_does_not_end_the_server(command, server_folder, tmp_path):
    program = tmp_path / "empty.py"
    program.touch()
    job = {"path": str(program), "argv": [""], "cwd": str(tmp_path), "sys_path": sys.path}
    job |= {"environment": _environment(server_folder)}
    for message in (b"", b"{", json.dumps(job).encode() + b"\n"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(server_folder / "socket"))
            if message:
                socket.send_fds(connection, [message], [0, 1, 2])
    assert _runs_in_fork(command(IMPORTED))


@pytest.mark.slow
def test_a_killed_server_ends_its_forks_and_the_command_says_so(command):
    process = command("print(os.getppid(), flush=True)\nwait()")
    parent, pid = (int(process.stdout.readline()) for _ in range(2))
    os.kill(parent, signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "HOURGLASS_FORK_SERVER=off" in errors
    _wait(lambda: not Path(f"/proc/{pid}").exists())


def test_a_folder_that_others_may_enter_or_own_is_not_trusted(command, server_folder, tmp_path):
    """Any user may create a folder of that name among the temporary files, and serve there."""
    server_folder.chmod(0o755)
    assert not _runs_in_fork(command(IMPORTED))
    server_folder.chmod(0o700)
    if os.getuid() == 0:
        os.chown(server_folder, OTHER_USER, -1)
        assert not _runs_in_fork(command(IMPORTED))
        os.chown(server_folder, 0, -1)
    assert _runs_in_fork(command(IMPORTED))
    moved = server_folder.rename(tmp_path / "moved")
    server_folder.symlink_to(moved)
    assert not _runs_in_fork(command(IMPORTED))
    server_folder.unlink()
    moved.rename(server_folder)
