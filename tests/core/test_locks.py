import subprocess
import sys
import threading
import time

import pytest

from hourglass.core.locks import file_lock, is_rank_zero

HOLDER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from hourglass.core.locks import file_lock
with file_lock(Path(sys.argv[2]), ""):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_a_second_process_waits_until_the_first_ends_and_says_so(tmp_path, repository, capfd):
    path, entered = tmp_path / "a.lock", threading.Event()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, repository / "src", path], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    assert holder.stdout.readline() == "locked\n"

    def wait() -> None:
        with file_lock(path, "another command writes it"):
            entered.set()

    thread = threading.Thread(target=wait)
    thread.start()
    message = ""
    while not message:
        time.sleep(0.01)
        message = capfd.readouterr().err
    assert not entered.is_set()
    holder.kill()  # the system releases the lock of a killed process
    holder.communicate()
    thread.join(10)
    assert entered.is_set()
    assert message == "hourglass: another command writes it; waiting until it ends.\n"


def test_an_error_releases_the_lock(tmp_path, capfd):
    for _ in range(2):
        with pytest.raises(KeyError), file_lock(tmp_path / "locks" / "a.lock", ""):
            raise KeyError
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_a_launcher_sets_the_rank_of_every_other_process(monkeypatch, name):
    for variable in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(variable, raising=False)
    assert is_rank_zero()
    monkeypatch.setenv(name, "1")
    assert not is_rank_zero()
