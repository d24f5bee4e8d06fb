"""The scripts that start many processes: threads are divided, cells are made once."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.workspaces import ROOT, Project

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.fixture
def said(tmp_path, monkeypatch) -> Path:
    """Give the file in which a double of `dvc` notes its threads and its arguments."""
    double, said = tmp_path / "dvc", tmp_path / "said"
    double.write_text(f'#!/bin/sh\necho "$OMP_NUM_THREADS $@" > {said}\n')
    double.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return said


@pytest.mark.parametrize("jobs", [1, 2, CORES, CORES + 1])
def test_the_queues_workers_divide_the_cores(said, jobs):
    subprocess.run([ROOT / "scripts/queue.sh", str(jobs)], check=True)
    threads = max(1, CORES // jobs)
    assert said.read_text().split() == [str(threads), "queue", "start", "--jobs", str(jobs)]


def make_small(project: Project) -> None:
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["linear", "undercomplete"])
    project.set("params.yaml", "study", value={"digits": False})
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.commit()
    project.run("dvc", "init", "--force")


@pytest.mark.slow
def test_an_arrays_tasks_make_their_cells_and_dvc_finds_them_made(project):
    make_small(project)
    project.run("dvc", "repro", "prepare", "cells", "baselines", "references")
    tasks = [
        project.start("scripts/slurm_array.sh", SLURM_ARRAY_TASK_ID=str(number))
        for number in range(2)
    ]
    for task in tasks:
        _, errors = task.communicate(timeout=600)
        assert task.returncode == 0, errors
    assert list(yaml.safe_load(project.run("dvc", "status", "--json").stdout)) == ["compare"]


@pytest.mark.slow
def test_a_task_that_fails_leaves_its_cell_to_dvc(project):
    make_small(project)
    project.run("dvc", "repro", "prepare", "cells", "baselines", "references")
    project.set("configs/model/linear.yaml", "init_args", "learning_rate", value=1e30)
    project.run("scripts/slurm_array.sh", status=1, SLURM_ARRAY_TASK_ID="0")
    assert "train@digits-linear" in project.run("dvc", "status", "--json").stdout
