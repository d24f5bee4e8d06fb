"""A few tries of every fault of scripts/chaos.py lose nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.robustness.workers import LOSSES, disturb_study
from tests.workspaces import ROOT

TRIES = {"kills": 5, "full_disks": 2, "read_only_disks": 2, "together": 3}


@pytest.fixture(scope="module")
def needs_mounts() -> None:
    """Skip unless this user may create mounts."""
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    words = ["unshare", "--mount", *mapped, "mount", "-t", "tmpfs", "none", "/tmp"]
    if not shutil.which("unshare") or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk, so no disk can be full")


def assert_nothing_is_lost(fault: str, tries: int, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/chaos.py", fault, "--tries", str(tries), "--grid", "tiny",
         "--found", folder, "--out", folder / "page.md"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / f"{fault}.json").read_text())["tries"]
    assert len(found) == tries
    assert [each for each in found if each["losses"] or not each["identical"]] == []
    assert fault.replace("_", " ") in (folder / "page.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("needs_mounts")
@pytest.mark.parametrize("fault", TRIES)
def test_a_fault_loses_nothing(fault, tmp_path):
    assert_nothing_is_lost(fault, TRIES[fault], tmp_path)


@pytest.mark.servers
@pytest.mark.usefixtures("needs_mounts", "postgresql")
def test_an_outage_of_the_tracking_servers_loses_nothing(tmp_path):
    assert_nothing_is_lost("servers", 2, tmp_path)


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.usefixtures("postgresql")
@pytest.mark.parametrize(("kills", "restarts"), [(3, 0), (1, 2)], ids=["kills", "restarts"])
def test_killed_workers_and_database_restarts_lose_and_double_no_trial(kills, restarts):
    counts = disturb_study(kills, restarts, seconds_between=8, trials=12)
    assert counts["killed"] >= 1
    assert counts["finished"] == counts["recorded"] == counts["requested"]
    assert {key: counts[key] for key in LOSSES} == dict.fromkeys(LOSSES, 0)
