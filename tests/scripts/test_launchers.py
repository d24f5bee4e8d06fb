"""Tests of the launcher scripts, which start many processes."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.workspaces import ROOT, Project

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.fixture
def log(tmp_path, monkeypatch) -> Path:
    """Return the log of a fake `dvc`, which writes its number of threads and its arguments."""
    fake, log = tmp_path / "dvc", tmp_path / "log"
    fake.write_text(f'#!/bin/sh\necho "$OMP_NUM_THREADS $@" > {log}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return log


@pytest.mark.parametrize("jobs", [1, 2, CORES, CORES + 1])
def test_queue_workers_divide_the_cores(log, jobs):
    subprocess.run([ROOT / "scripts/queue.sh", str(jobs)], check=True)
    threads = max(1, CORES // jobs)
    assert log.read_text().split() == [str(threads), "queue", "start", "--jobs", str(jobs)]


def prepare_small_grid(project: Project) -> None:
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["linear", "undercomplete"])
    project.set("params.yaml", "study", value={"digits": False})
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.commit()
    project.run("dvc", "init", "--force")
    project.run("dvc", "repro", "prepare", "snapshot", "baselines", "references")


@pytest.mark.slow
def test_cells_of_array_tasks_are_up_to_date_in_dvc(project):
    prepare_small_grid(project)
    tasks = [
        project.start("scripts/slurm_array.sh", SLURM_ARRAY_TASK_ID=str(number))
        for number in range(2)
    ]
    for task in tasks:
        _, errors = task.communicate(timeout=600)
        assert task.returncode == 0, errors
    assert list(yaml.safe_load(project.run("dvc", "status", "--json").stdout)) == ["compare"]


@pytest.mark.slow
def test_the_cell_of_a_failed_task_is_outdated_in_dvc(project):
    prepare_small_grid(project)
    project.set("configs/model/undercomplete.yaml", "init_args", "learning_rate", value=1e30)
    project.run("scripts/slurm_array.sh", status=1, SLURM_ARRAY_TASK_ID="1")
    assert "train@digits-undercomplete" in project.run("dvc", "status", "--json").stdout
