"""Studies as people run them: workers that share one, are killed, and leave a record."""

import random
import signal
import sqlite3
import time
from contextlib import closing
from datetime import datetime
from functools import partial

import mlflow
import optuna
import psutil
import pytest
import yaml
from optuna.trial import TrialState

from hourglass.tracking.store import EXPERIMENT
from tests.workspaces import Project, kill, living_in, wait_for_end, wait_until

pytestmark = pytest.mark.slow
TUNE = ("tune", "digits", "denoising")


@pytest.fixture
def prepared(new_project) -> Project:
    """Give a copy of the repository with digits, which are trained for few epochs."""
    project: Project = new_project()
    project.set("configs/data/digits.yaml", "training", value={"max_epochs": 12, "batch_size": 64})
    project.hourglass("prepare", "digits")
    return project


def study_of(project: Project) -> optuna.Study:
    storage = f"sqlite:///{project.folder}/optuna.db"
    (name,) = optuna.study.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


def counted(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    done = (TrialState.COMPLETE, TrialState.PRUNED)
    return [trial for trial in study.trials if trial.state in done]


def runs(project: Project) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


def test_two_workers_share_a_study_that_is_one_run_with_a_child_a_trial(prepared):
    printed = prepared.hourglass(*TUNE, "--trials", "8", "--workers", "2").stdout
    prepared.hourglass(*TUNE, "--trials", "10", "--workers", "2")
    prepared.hourglass(*TUNE, "--trials", "10")  # nothing is left to do, and nothing is doubled
    study = study_of(prepared)
    assert "8 trials" in printed
    assert [trial.state for trial in study.trials].count(TrialState.RUNNING) == 0
    assert len(study.trials) == len(counted(study)) == 10
    workers = {trial.user_attrs["worker"] for trial in study.trials}
    assert len(workers) >= 3
    recorded = runs(prepared)
    (parent,) = (run for run in recorded if "hourglass.study" in run.data.tags)
    children = [run for run in recorded if run is not parent]
    assert sorted(map(_number, children)) == list(range(10))
    (best,) = (run for run in children if "hourglass.best" in run.data.tags)
    assert _number(best) == study.best_trial.number
    statuses = {"COMPLETE": "FINISHED", "PRUNED": "KILLED"}
    for run in children:
        trial = study.trials[_number(run)]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.status == statuses[trial.state.name]
        assert run.data.params["latent_dim"] == str(trial.params["latent_dim"])
        assert run.data.metrics["validation_error"] > 0
        if trial.state == TrialState.COMPLETE:
            assert run.data.metrics["tuning_AUROC"] == trial.value
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["tuning_AUROC"] == study.best_value
    client = mlflow.MlflowClient(f"sqlite:///{prepared.folder}/mlflow.db")
    curve = client.get_metric_history(best.info.run_id, "validation_error")
    assert [point.step for point in curve] == list(range(12))
    kept = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"history.png", "slice.png", "importance.png", "contour.png"} <= kept


def test_a_study_killed_five_times_has_the_trials_that_were_asked_for(prepared):
    prepared.set("configs/data/digits.yaml", "training", "max_epochs", value=60)
    moments = random.Random(0)
    for _ in range(5):
        begin = datetime.now()
        process = prepared.start(*_command("10", "2"))
        wait_until(partial(_both_run, prepared, begin), process)
        time.sleep(moments.uniform(0, 1))
        assert process.poll() is None
        kill(process)
        wait_for_end(prepared.folder)  # the workers end with the command
    prepared.run(*_command("10", "2"))
    study = study_of(prepared)
    assert len(counted(study)) == 10
    assert [trial.state for trial in study.trials].count(TrialState.RUNNING) == 0
    draws = [tuple(trial.params.values()) for trial in counted(study)]
    assert len(set(draws)) == 10
    killed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    lost = [trial for trial in killed if tuple(trial.params.values()) not in draws and trial.params]
    assert len(killed) >= 5
    assert not lost
    children = [run for run in runs(prepared) if "hourglass.trial" in run.data.tags]
    recorded = [_number(run) for run in children]
    assert sorted(recorded) == sorted(trial.number for trial in counted(study))
    assert all(run.info.status in ("FINISHED", "KILLED") for run in children)
    assert all(run.data.params["latent_dim"] for run in children)


def test_two_commands_at_once_share_a_study_and_its_record(prepared):
    first, second = (prepared.start(*_command("10", "1")) for _ in range(2))
    for process in (first, second):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    study = study_of(prepared)
    assert len(study.trials) == len(counted(study)) == 10
    assert len({trial.user_attrs["worker"] for trial in study.trials}) == 2
    recorded = runs(prepared)
    assert len([run for run in recorded if "hourglass.study" in run.data.tags]) == 1
    assert sorted(_number(run) for run in recorded if "hourglass.trial" in run.data.tags) == list(
        range(10)
    )


def test_a_worker_that_is_killed_is_made_up_for_by_the_other(prepared):
    process = prepared.start(*_command("6", "2"))
    wait_until(lambda: _running(prepared) > 0, process)
    _workers(prepared)[0].kill()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    study = study_of(prepared)
    assert len(counted(study)) == 6


def test_interrupting_leaves_no_trial_running_and_no_process(prepared):
    process = prepared.start(*_command("50", "1"))
    wait_until(lambda: _running(prepared) > 0, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not living_in(prepared.folder)
    states = {trial.state for trial in study_of(prepared).trials}
    assert TrialState.RUNNING not in states
    assert TrialState.WAITING in states


def test_under_ddp_a_trial_is_pruned_on_all_ranks_together(prepared):
    prepared.set("configs/trainer/cpu.yaml", "devices", value=2)
    prepared.set("configs/trainer/cpu.yaml", "strategy", value="ddp")
    prepared.hourglass(*TUNE, "--trials", "10", "--no_mlflow")
    study = study_of(prepared)
    assert len(study.trials) == len(counted(study)) == 10
    states = [trial.state for trial in study.trials]
    assert TrialState.PRUNED in states
    assert states[-1] in (TrialState.PRUNED, TrialState.COMPLETE)
    assert not living_in(prepared.folder)


def test_applying_changes_one_cell_for_dvc(prepared):
    prepared.set("params.yaml", "models", value=["denoising", "linear"])
    prepared.set("params.yaml", "data", value=["digits"])
    prepared.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    prepared.run("dvc", "init", "--quiet", "--force", "--no-scm")
    prepared.run("dvc", "repro", "--quiet")
    assert "up to date" in prepared.run("dvc", "status").stdout
    before = (prepared / "reports/leaderboard.md").read_text()
    prepared.hourglass(*TUNE, "--trials", "3", "--no_mlflow", "--apply")
    status = prepared.run("dvc", "status").stdout
    changed = [line.rstrip(":") for line in status.splitlines() if not line.startswith("\t")]
    assert changed == ["train@digits-denoising", "compare"]
    prepared.run("dvc", "repro", "--quiet")
    assert "up to date" in prepared.run("dvc", "status").stdout
    after = (prepared / "reports/leaderboard.md").read_text()
    assert "before tuning" in after
    assert "before tuning" not in before
    values = yaml.safe_load((prepared / "configs/cell/digits-denoising.yaml").read_text())[
        "init_args"
    ]
    settings = yaml.safe_load((prepared / "runs/digits/denoising/train/settings.yaml").read_text())
    assert values.items() <= settings["init_args"].items()
    assert "tuned" in (prepared / "reports/index.html").read_text()


def test_plain_repro_starts_no_search_and_the_tuning_pipeline_does(prepared):
    prepared.set("params.yaml", "models", value=["linear"])
    prepared.set("params.yaml", "data", value=["digits"])
    prepared.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    study = {"data": "digits", "model": "denoising", "objective": "detection", "trials": 3}
    prepared.set("tune/params.yaml", "studies", value=[study])
    prepared.run("dvc", "init", "--quiet", "--force", "--no-scm")
    prepared.run("dvc", "repro", "--quiet")
    assert not (prepared / "optuna.db").exists()
    prepared.run("dvc", "repro", "--quiet", "tune/dvc.yaml")
    found = prepared.read("tune/digits-denoising-detection.json")
    assert found["tuning_AUROC"] == study_of(prepared).best_value
    assert set(found["values"]) == {"latent_dim", "noise_factor"}


def _number(run: mlflow.entities.Run) -> int:
    return int(run.data.tags["hourglass.trial"].split()[-1])


def _command(trials: str, workers: str) -> list[str]:
    return ["hourglass", *TUNE, "--trials", trials, "--workers", workers]


def _workers(project: Project) -> list[psutil.Process]:
    found = [
        each for each in living_in(project.folder) if "hourglass.tuning.worker" in each.cmdline()
    ]
    return sorted(found, key=lambda each: each.create_time())


def _both_run(project: Project, since: datetime) -> bool:
    return _running(project, since) == 2


def _running(project: Project, since: datetime = datetime.min) -> int:
    """Return how many trials run; by SQL, as Optuna would make the tables beside the command."""
    if not (project / "optuna.db").exists():
        return 0
    with closing(sqlite3.connect(project / "optuna.db")) as database:
        if not database.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'trial_params'"
        ).fetchall():
            return 0
        running = (
            "SELECT count(DISTINCT trials.trial_id) FROM trials JOIN trial_params USING (trial_id)"
        )
        where = "WHERE state = 'RUNNING' AND datetime_start > ?"
        return int(database.execute(f"{running} {where}", [str(since)]).fetchone()[0])
