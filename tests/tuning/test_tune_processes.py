"""Studies as users run them: commands with several workers, kills, MLflow and DVC."""

import random
import signal
import sqlite3
import sys
import time
from contextlib import closing
from datetime import datetime

import mlflow
import optuna
import psutil
import pytest
import yaml

from hourglass.tracking.connection import EXPERIMENT
from tests.tuning.studies import states
from tests.workspaces import Project, kill, processes_in, wait_for_end, wait_until

pytestmark = pytest.mark.slow
TUNE = ("tune", "digits", "denoising")
TRIALS = 20  # enough for five kills on a fast machine
COUNTED = ("COMPLETE", "PRUNED")


@pytest.fixture
def prepared(new_project) -> Project:
    """Return a copy of the repository with prepared digits, trained for few epochs."""
    project: Project = new_project()
    project.set("configs/data/digits.yaml", "training", value={"max_epochs": 12, "batch_size": 64})
    project.hourglass("prepare", "digits")
    return project


@pytest.fixture
def pipeline(prepared) -> Project:
    """Return a project whose grid is one data set, trained for two epochs, with DVC."""
    prepared.set("params.yaml", "data", value=["digits"])
    prepared.set("params.yaml", "models", value=["denoising", "linear"])
    prepared.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    prepared.run("dvc", "init", "--quiet", "--force", "--no-scm")
    return prepared


def load_study(project: Project) -> optuna.Study:
    storage = f"sqlite:///{project.folder}/optuna.db"
    (name,) = optuna.study.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


def client_of(project: Project) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{project.folder}/mlflow.db")


def recorded(project: Project) -> tuple[list[mlflow.entities.Run], dict[int, mlflow.entities.Run]]:
    """Return the MLflow runs of studies, and those of trials by number, each once."""
    client = client_of(project)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    trials = [run for run in runs if "hourglass.trial" in run.data.tags]
    by_number = {int(run.data.tags["hourglass.trial"].split()[-1]): run for run in trials}
    assert len(by_number) == len(trials)
    return [run for run in runs if "hourglass.study" in run.data.tags], by_number


def command(trials: int, workers: int) -> list[str]:
    """Return a command that runs the code of the project, not the installed one."""
    words = [*TUNE, "--trials", str(trials), "--workers", str(workers)]
    return [sys.executable, "src/hourglass", *words]


def count_running(project: Project, since: datetime = datetime.min) -> int:
    """Return the number of running trials; by SQL, because Optuna would create the tables."""
    if not (project / "optuna.db").exists():
        return 0
    with closing(sqlite3.connect(project / "optuna.db")) as database:
        exists = "SELECT 1 FROM sqlite_master WHERE name = 'trial_params'"
        if not database.execute(exists).fetchall():
            return 0
        running = (
            "SELECT count(DISTINCT trials.trial_id) FROM trials JOIN trial_params USING (trial_id)"
            " WHERE state = 'RUNNING' AND datetime_start > ?"
        )
        return int(database.execute(running, [str(since)]).fetchone()[0])


def test_two_commands_with_two_workers_share_a_study_and_its_record(prepared):
    prepared.hourglass(*TUNE, "--trials", "6")
    for process in [prepared.start(*command(12, 2)) for _ in range(2)]:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    printed = prepared.hourglass(*TUNE, "--trials", "12").stdout  # nothing is left to do
    study = load_study(prepared)
    assert "12 trials" in printed
    assert len(study.trials) == 12
    assert set(states(study)) <= set(COUNTED)
    assert len({trial.user_attrs["worker"] for trial in study.trials}) >= 2
    (parent,), children = recorded(prepared)
    assert sorted(children) == list(range(12))
    (best,) = (run for run in children.values() if "hourglass.best" in run.data.tags)
    assert best is children[study.best_trial.number]
    for number, run in children.items():
        trial = study.trials[number]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params["latent_dim"] == str(trial.params["latent_dim"])
        if trial.state.name == "COMPLETE":
            assert run.data.metrics["tuning/AUROC"] == pytest.approx(trial.value, rel=1e-4)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["tuning/AUROC"] == pytest.approx(study.best_value, rel=1e-4)
    client = client_of(prepared)
    curve = client.get_metric_history(best.info.run_id, "training/validation_error")
    assert [point.step for point in curve] == list(range(12))
    figures = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"history.png", "slice.png", "importance.png", "contour.png"} <= figures


def test_a_study_killed_five_times_has_the_requested_trials(prepared):
    prepared.set("configs/data/digits.yaml", "training", "max_epochs", value=60)
    moments = random.Random(0)
    for _ in range(5):
        start = datetime.now()
        process = prepared.start(*command(TRIALS, 2))
        wait_until(lambda start=start: count_running(prepared, start) == 2, process)
        time.sleep(moments.uniform(0, 1))
        assert process.poll() is None
        kill(process)
        wait_for_end(prepared.folder)  # the workers end with the command
    prepared.run(*command(TRIALS, 2))
    study = load_study(prepared)
    counted = [trial for trial in study.trials if trial.state.name in COUNTED]
    draws = {tuple(trial.params.values()) for trial in counted}
    killed = [trial for trial in study.trials if trial.state.name == "FAIL"]
    assert len(counted) == len(draws) == TRIALS
    assert len(killed) >= 5
    assert len(counted) + len(killed) == len(study.trials)
    assert all(tuple(trial.params.values()) in draws for trial in killed if trial.params)
    _, children = recorded(prepared)
    assert sorted(children) == sorted(trial.number for trial in counted)
    assert all(run.info.status == "FINISHED" for run in children.values())


def test_the_other_worker_replaces_a_killed_one(prepared):
    process = prepared.start(*command(6, 2))
    wait_until(lambda: count_running(prepared) > 0, process)
    workers = (
        one for one in processes_in(prepared.folder) if "hourglass.tuning.worker" in one.cmdline()
    )
    min(workers, key=psutil.Process.create_time).kill()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert sum(state in COUNTED for state in states(load_study(prepared))) == 6


def test_interrupting_leaves_no_running_trial_and_no_process(prepared):
    process = prepared.start(*command(50, 1))
    wait_until(lambda: count_running(prepared) > 0, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not processes_in(prepared.folder)
    assert "RUNNING" not in states(load_study(prepared))
    assert "WAITING" in states(load_study(prepared))


def test_under_ddp_a_trial_is_pruned_on_all_ranks_together(prepared):
    prepared.set("configs/trainer/cpu.yaml", "devices", value=2)
    prepared.set("configs/trainer/cpu.yaml", "strategy", value="ddp")
    prepared.hourglass(*TUNE, "--trials", "10", "--no_mlflow")
    study = load_study(prepared)
    assert len(study.trials) == 10
    assert "PRUNED" in states(study)
    assert set(states(study)) <= set(COUNTED)
    assert not processes_in(prepared.folder)


def test_applying_changes_one_cell_for_dvc(pipeline):
    pipeline.run("dvc", "repro", "--quiet")
    assert "up to date" in pipeline.run("dvc", "status").stdout
    before = (pipeline / "reports/leaderboard.md").read_text()
    pipeline.hourglass(*TUNE, "--trials", "3", "--no_mlflow", "--apply")
    status = pipeline.run("dvc", "status").stdout
    changed = [line.rstrip(":") for line in status.splitlines() if not line.startswith("\t")]
    assert changed == ["train@digits-denoising", "compare"]
    pipeline.run("dvc", "repro", "--quiet")
    assert "up to date" in pipeline.run("dvc", "status").stdout
    assert "| before tuning" not in before
    assert "| before tuning" in (pipeline / "reports/leaderboard.md").read_text()
    values = yaml.safe_load((pipeline / "configs/cell/digits-denoising.yaml").read_text())
    settings = yaml.safe_load((pipeline / "runs/digits/denoising/train/settings.yaml").read_text())
    assert values["init_args"].items() <= settings["init_args"].items()
    assert "tuned" in (pipeline / "reports/index.html").read_text()


def test_only_the_tuning_pipeline_runs_a_study(pipeline):
    study = {"data": "digits", "model": "denoising", "objective": "detection", "trials": 3}
    pipeline.set("tune/params.yaml", "studies", value=[study])
    pipeline.run("dvc", "repro", "--quiet")
    assert not (pipeline / "optuna.db").exists()
    pipeline.run("dvc", "repro", "--quiet", "tune/dvc.yaml")
    results = pipeline.read("tune/digits-denoising-detection.json")
    assert results["tuning_AUROC"] == load_study(pipeline).best_value
    assert set(results["values"]) == {"latent_dim", "noise_factor"}
