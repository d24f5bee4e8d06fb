"""Stage locks: stages that write the same cell wait for each other."""

import threading
import time

from hourglass.stages.output import LOCKS, stage_lock

CELL = "digits-linear"


def test_stages_of_one_cell_wait_for_each_other_and_others_do_not(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    entered = threading.Event()

    def wait() -> None:
        with stage_lock("evaluate", CELL):
            entered.set()

    thread = threading.Thread(target=wait)
    with stage_lock("train", CELL):
        for other in (("train", "digits-denoising"), ("prepare", "digits"), ("compare", "")):
            with stage_lock(*other):
                assert capfd.readouterr().err == ""
        thread.start()
        message = ""
        while not message:
            time.sleep(0.01)
            message = capfd.readouterr().err
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()
    assert message.startswith(f"hourglass: {CELL}: another command writes it")
    assert {path.suffix for path in LOCKS.iterdir()} == {".lock"}
