"""Commands that use the servers of a team through environment variables."""

import subprocess
from pathlib import Path

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from hourglass.data.prepared_data import Prepared
from hourglass.tracking.connection import EXPERIMENT
from hourglass.tuning.locks import storage_url
from hourglass.tuning.mlflow_record import STUDY, TRIAL
from tests.workspaces import TIMEOUT_SECONDS, Project

pytestmark = pytest.mark.servers


def small(project: Project, *models: str) -> Project:
    """Return the project with few cells, trained for few epochs."""
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=list(models))
    project.set("params.yaml", "study", value={"digits": False})
    project.set("configs/data/digits.yaml", "training", value={"max_epochs": 3, "batch_size": 64})
    return project


def finish(*processes: "subprocess.Popen[str]") -> list[str]:
    """Wait until commands have succeeded, and return their outputs."""
    outputs = ["".join(process.communicate(timeout=TIMEOUT_SECONDS)) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return outputs


def rows(*tags: str) -> list[mlflow.entities.Run]:
    """Return the runs that have one of these tags."""
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    return [run for run in runs if any(tag in run.data.tags for tag in tags)]


@pytest.fixture
def two(new_project) -> list[Project]:
    """Give two clones with different cells."""
    return [small(new_project(), model) for model in ("linear", "denoising")]


def test_two_clones_reproduce_at_once_and_upload_artifacts_through_the_server(two, team, as_member):
    for project in two:
        project.run("dvc", "init", "--quiet", "--force", "--no-scm")
    outputs = finish(*(each.start("dvc", "repro", **as_member) for each in two))
    assert not any(secret in text for secret in team.secrets.values() for text in outputs)
    client = mlflow.MlflowClient(as_member["MLFLOW_TRACKING_URI"])
    for project, model in zip(two, ("linear", "denoising"), strict=True):
        cell = project / f"runs/digits/{model}"
        run = client.get_run((cell / "tracking/run_id").read_text().strip())
        assert run.info.status == "FINISHED"
        metrics = project.read(f"runs/digits/{model}/evaluate/metrics.json")
        assert run.data.metrics["test/AUROC"] == pytest.approx(metrics["AUROC"], rel=1e-4)
        assert len(run.outputs.model_outputs) == 1
        # Through the server: the client knows no folder and stores nothing itself.
        assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
        downloaded = Path(client.download_artifacts(run.info.run_id, "history.csv"))
        assert downloaded.read_text() == (cell / "train/history.csv").read_text()
        assert not (project / "mlflow.db").exists()
        assert project.files("mlruns") == ["mlruns/README.md"]
        assert not any(secret in str(run.to_dictionary()) for secret in team.secrets.values())
    assert len(list((team.folder / "artifacts").rglob("history.csv"))) == 2
    assert_one_is_champion(two, as_member, client)


def assert_one_is_champion(
    two: list[Project], as_member: dict[str, str], client: mlflow.MlflowClient
) -> None:
    """Promote from each clone: the second gets the detector of the first from the server."""
    decisions = [
        each.hourglass("promote", "digits", model, status=0, **as_member).stdout
        for each, model in zip(two, ("linear", "denoising"), strict=True)
    ]
    name = "hourglass-digits"
    champion = client.get_model_version_by_alias(name, "champion")
    versions = client.search_model_versions(f"name = '{name}'")
    assert {each.version for each in versions} == {"1", "2"}
    assert [client.get_model_version(name, n).tags["decision"] for n in ("1", "2")] == [
        each.strip() for each in decisions
    ]
    assert "AUROC" in decisions[1]
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    clone = two[int(champion.version) - 1]
    x = Prepared.open(clone / "data/prepared/digits").split("test").x
    expected = pd.read_parquet(next(clone.folder.glob("runs/digits/*/evaluate/scores.parquet")))
    found = loaded.predict(np.array(x))
    np.testing.assert_allclose(found["score"], expected[expected.split == "test"].score, rtol=1e-5)


def test_workers_of_two_clones_share_a_study_and_run_each_trial_once(new_project, as_member):
    clones = [small(new_project(), "denoising") for _ in range(2)]
    for clone in clones:
        clone.hourglass("prepare", "digits")
    count = 40  # so that the second clone starts before the first has run all
    words = ("tune", "digits", "denoising", "--trials", str(count), "--workers", "2")
    # As users write it, without the name of a driver.
    plain = as_member["HOURGLASS_OPTUNA_STORAGE"].replace("+psycopg", "")
    variables = as_member | {"HOURGLASS_OPTUNA_STORAGE": plain}
    finish(*(clone.start("python", "src/hourglass", *words, **variables) for clone in clones))
    (name,) = optuna.study.get_all_study_names(storage_url())
    study = optuna.load_study(study_name=name, storage=storage_url())
    done = (TrialState.COMPLETE, TrialState.PRUNED)
    assert [trial.state in done for trial in study.trials] == [True] * count
    commands = {trial.user_attrs["worker"].split()[0] for trial in study.trials}
    assert len(commands) == len(clones)
    assert len(rows(STUDY)) == 1
    numbers = sorted(int(run.data.tags[TRIAL].split()[-1]) for run in rows(TRIAL))
    assert numbers == list(range(count))
    assert not (clones[0] / "optuna.db").exists()


@pytest.mark.parametrize("wrong", ["MLFLOW_TRACKING_PASSWORD", "HOURGLASS_OPTUNA_STORAGE"])
def test_a_wrong_password_is_named_in_a_sentence_without_it(new_project, team, as_member, wrong):
    """The study needs its storage; MLflow stops nothing."""
    project = small(new_project(), "denoising")
    project.hourglass("prepare", "digits")
    secret = team.secrets["hourglass" if wrong.startswith("MLFLOW") else "optuna"]
    variables = as_member | {wrong: as_member[wrong].replace(secret, "not-the-password")}
    words = ("tune", "digits", "denoising", "--trials", "1")
    status = 0 if wrong.startswith("MLFLOW") else 1
    errors = project.hourglass(*words, status=status, **variables).stderr
    assert "not-the-password" not in errors
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].endswith(".")
    assert "password" in errors or "401" in errors
