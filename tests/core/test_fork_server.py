"""A command that is handed over to the warm process is, from outside, the command itself."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hourglass.core.fork_server import client, server, stale_folders

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all commands run cold")

SERVER = Path(server.__file__)
# What `python src/hourglass` does first, then the facts that a program can know of itself.
COMMAND = """
import sys
sys.path.insert(0, {source!r})
from hourglass.warm.client import hand_over
if __name__ == "__main__" and "warm" not in globals():
    hand_over({{"path": sys.argv[0]}})
import json, os, signal, time
def facts():
    seen = dict(argv=sys.argv, cwd=os.getcwd(), given=sys.stdin.read(), name=__name__)
    own = ("HOURGLASS_WARM", "MLFLOW_")  # the warm process's, and what it tells MLflow
    seen["environment"] = {{k: v for k, v in os.environ.items() if not k.startswith(own)}}
    print(json.dumps(seen))
    print("heard", file=sys.stderr)
def wait():
    print(os.getpid(), flush=True)
    time.sleep(60)
{body}
"""


@pytest.fixture
def place(tmp_path):
    """Give the folder of a warm process that has imported `wave`, and whose owner is `sleep`."""
    folder = tmp_path / "warm"
    folder.mkdir(mode=0o700)
    owner = subprocess.Popen(["sleep", "60"])
    process = subprocess.Popen(
        [sys.executable, "-P", SERVER, folder, str(owner.pid), "wave"],
        env=_environment(folder),
        preexec_fn=_heed,
    )
    _wait(lambda: (folder / "socket").exists())
    yield folder
    owner.kill()
    owner.wait()
    if process.wait(10) != -signal.SIGKILL:  # as one test has it
        assert not folder.exists()


@pytest.fixture
def command(tmp_path, place):
    """Give a function that starts a program of ours, warm or cold."""

    def start(body: str, warm: bool = True, **environment: str) -> subprocess.Popen[str]:
        program = tmp_path / "program.py"
        program.write_text(COMMAND.format(source=str(SERVER.parents[2]), body=body))
        return subprocess.Popen(
            [sys.executable, program, "an argument"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=_environment(place if warm else "off") | environment,
            preexec_fn=_heed,
        )

    return start


def _environment(place: Path | str) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    return own | {"DVC_STAGE": "test", "HOURGLASS_WARM": str(place)}


def _heed() -> None:
    """Heed Ctrl-C, which tests that run in the background are to ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def _was_warm(process: subprocess.Popen[str]) -> bool:
    output, _ = process.communicate()
    return output.strip() == "True"


def test_what_a_program_sees_is_what_it_sees_alone(command):
    warm, cold = (command("facts()", warm).communicate("words\n") for warm in (True, False))
    assert json.loads(warm[0]) == json.loads(cold[0])
    assert warm[1] == cold[1] == "heard\n"


def test_imports_are_done_already_but_only_where_it_is_warm(command):
    assert _was_warm(command("print('wave' in sys.modules)"))
    assert not _was_warm(command("print('wave' in sys.modules)", warm=False))


def test_what_a_fork_starts_is_warm_as_well(command):
    body = """
import subprocess
if len(sys.argv) > 1:
    del sys.argv[1]
    subprocess.run([sys.executable, *sys.argv])
else:
    print('wave' in sys.modules)
"""
    assert _was_warm(command(body))


def test_another_environment_starts_cold(command):
    assert not _was_warm(command("print('wave' in sys.modules)", OMP_NUM_THREADS="7"))


def test_a_rank_of_a_distributed_training_starts_cold(command):
    assert not _was_warm(command("print('wave' in sys.modules)", LOCAL_RANK="1"))


def test_code_that_changed_is_run_as_it_is_now(command, tmp_path):
    body = f"sys.path.insert(0, {str(tmp_path)!r})\nimport changing\nprint(changing.VALUE)"
    for value in (1, 22):  # another length: a cached bytecode of the same second is told by it
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
def test_it_ends_as_it_would_alone(command, body):
    outputs = []
    for warm in (True, False):
        process = command(body, warm)
        output, errors = process.communicate()
        outputs.append((process.returncode, output, errors.splitlines()[-1:]))
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_fork_and_ends_both(command, number):
    process = command("wait()")
    pid = int(process.stdout.readline())
    assert pid != process.pid
    process.send_signal(number)
    assert process.wait(10) == -number
    _wait(lambda: not Path(f"/proc/{pid}").exists())


def test_a_command_that_is_killed_takes_its_fork_along(command):
    process = command("wait()")
    pid = int(process.stdout.readline())
    process.kill()
    _wait(lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.slow
def test_a_warm_process_that_is_killed_takes_its_forks_along_and_says_so(command):
    process = command("print(os.getppid(), flush=True)\nwait()")
    parent, pid = (int(process.stdout.readline()) for _ in range(2))
    os.kill(parent, signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "HOURGLASS_WARM=off" in errors
    _wait(lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.parametrize("opened", ["mode", "link", "owner"])
def test_a_folder_that_others_may_enter_or_own_is_not_trusted(
    command, place, tmp_path, monkeypatch, opened
):
    """Anyone may make a folder of that name among the temporary files, and answer there."""
    if opened == "mode":
        place.chmod(0o755)
    elif opened == "link":
        moved = place.rename(tmp_path / "moved")
        place.symlink_to(moved)
    elif os.getuid() == 0:
        os.chown(place, 12345, -1)
    else:
        pytest.skip("only root can give a folder away")
    assert not _was_warm(command("print('wave' in sys.modules)"))
    if opened == "link":
        place.unlink()
        moved.rename(place)


@pytest.fixture
def short_path():
    """Give a folder whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_folders_of_killed_processes_are_taken_away(short_path):
    def folder(owner: str) -> Path:
        made = short_path / f"hourglass-{os.getuid()}-{owner}"
        made.mkdir()
        (made / "log").touch()
        return made

    ended = subprocess.Popen(["true"])
    ended.wait()
    gone, again = folder(f"{ended.pid}-1"), folder(f"{os.getpid()}-1")
    own = folder(f"{os.getpid()}-{client._status(os.getpid())[19]}")
    busy, others = folder(f"{ended.pid}-2"), short_path / "hourglass-4294967294-1-1"
    others.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(busy / "socket"))
        listener.listen()
        stale_folders.sweep(own)
    assert set(short_path.iterdir()) == {own, busy, others}
    assert not gone.exists()
    assert not again.exists()


def test_the_kernel_says_who_asks():
    """The folder keeps other users out; where it does not, the warm process does."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert server._user(ours) == os.getuid()
