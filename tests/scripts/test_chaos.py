"""A few tries of every fault of scripts/chaos.py: nothing is lost."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspaces import ROOT

TRIES = {"kills": 5, "full_disks": 2, "read_only_disks": 2, "together": 3}


def may_mount() -> bool:
    """Return whether this user may have mounts of his own."""
    if not shutil.which("unshare"):
        return False
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    words = ["unshare", "--mount", *mapped, "mount", "-t", "tmpfs", "none", "/tmp"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def nothing_is_lost(fault: str, tries: int, folder: Path) -> None:
    if not may_mount():
        pytest.skip("this user may not mount a small disk, so no disk can be full")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/chaos.py", fault, "--tries", str(tries), "--grid", "tiny",
         "--found", folder, "--out", folder / "page.md"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / f"{fault}.json").read_text())["tries"]
    assert len(found) == tries
    assert [each for each in found if each["lost"] or not each["identical"]] == []
    assert fault.replace("_", " ") in (folder / "page.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("fault", TRIES)
def test_nothing_is_lost(fault, tmp_path):
    nothing_is_lost(fault, TRIES[fault], tmp_path)


@pytest.mark.servers
def test_servers_that_are_away_lose_nothing(tmp_path):
    if not (shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))):
        pytest.skip("no PostgreSQL to start")
    nothing_is_lost("servers", 2, tmp_path)
