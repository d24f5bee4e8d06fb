"""Stage locks: stages that write the same cell exclude each other (see also core/test_locks)."""

import pytest
from filelock import FileLock, Timeout

from hourglass.stages.output import LOCKS, stage_lock

CELL = "digits-linear"


def test_only_stages_of_the_same_cell_wait_for_each_other(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for stage in ("train", "evaluate"):
        with stage_lock(stage, CELL):
            for other in (("train", "digits-denoising"), ("prepare", "digits"), ("compare", "")):
                with stage_lock(*other):
                    assert capfd.readouterr().err == ""
            with pytest.raises(Timeout):
                FileLock(LOCKS / f"{CELL}.lock").acquire(blocking=False)
