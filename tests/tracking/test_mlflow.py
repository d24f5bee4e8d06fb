"""The record in MLflow: one row an experiment, nothing overwritten, nothing lost."""

import io
import json
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass.cli.record import record
from hourglass.core.atomic import write_json
from hourglass.core.errors import UserError
from hourglass.core.paths import CALIBRATED, TRAINED, prepared_folder
from hourglass.data.prepared import Prepared
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from hourglass.tracking.cell_record import dataset
from hourglass.tracking.recorder import Recorder
from hourglass.tracking.runs import RECORDED, Record
from tests.workspaces import DirectRecorder, Project, set_up, set_yaml, working_in

EPOCHS = 3
CELL = ("digits", "denoising")
CONFORMAL = {
    "class_path": "hourglass.detection.calibrators.Conformal",
    "init_args": {"alpha": 0.05},
}
K_SIGMA = {"class_path": "hourglass.detection.calibrators.KSigma", "init_args": {"k": 2.5}}
TRAINING_CURVES = ("train_loss", "validation_error", "learning_rate")


@dataclass(frozen=True)
class Row:
    """One run as MLflow shows it."""

    id: str
    name: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    steps: dict[str, list[int]]  # of every curve
    artifacts: frozenset[str]
    datasets: tuple[tuple[str, str], ...]  # name and digest
    models: tuple[str, ...]

    @property
    def method(self) -> str:
        return self.params.get("threshold_method", "")


def rows(folder: Path) -> list[Row]:
    """Return all runs of a working folder, the first one first."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = client.search_runs(experiments, order_by=["attributes.start_time ASC"])
    return [_row(client, run) for run in found]


def _row(client: Any, run: Any) -> Row:
    return Row(
        id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
        steps={
            key: [point.step for point in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        },
        artifacts=frozenset(_artifacts(client, run.info.run_id)),
        datasets=tuple(
            (each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs
        ),
        models=tuple(each.model_id for each in run.outputs.model_outputs) if run.outputs else (),
    )


def _artifacts(client: Any, run_id: str, folder: str | None = None) -> Iterator[str]:
    for each in client.list_artifacts(run_id, folder):
        if each.is_dir:
            yield from _artifacts(client, run_id, each.path)
        else:
            yield each.path


def make_workspace(folder: Path, data: str = CELL[0]) -> Path:
    """Make a working folder in a git repository of its own, with the data set prepared."""
    set_up(folder, EPOCHS)
    who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "settings"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    with working_in(folder):
        prepare(data)
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """Give a working folder in which one cell went through all stages, with the real recorder."""
    folder = make_workspace(tmp_path_factory.mktemp("mlflow") / "workspace")
    with working_in(folder):
        train(*CELL)
        calibrate_threshold(*CELL)
        evaluate(*CELL)
    return folder


@pytest.fixture(scope="module")
def first(workspace) -> Row:
    """Give the row after that."""
    (row,) = rows(workspace)
    return row


@pytest.fixture(scope="module")
def story(workspace, first) -> dict[str, list[Row]]:
    """Give the rows after one thing and another has happened to the same cell."""
    params, found = workspace / "params.yaml", {}
    with working_in(workspace, DirectRecorder):

        def after(chapter: str) -> None:
            found[chapter] = rows(workspace)

        evaluate(*CELL)
        after("evaluated again")
        set_yaml(params, "calibration", value=K_SIGMA)
        calibrate_threshold(*CELL)
        after("calibrated otherwise")
        evaluate(*CELL)
        after("evaluated otherwise")
        set_yaml(params, "calibration", value=CONFORMAL)
        calibrate_threshold(*CELL)
        after("calibrated as at first")
        evaluate(*CELL)
        after("evaluated as at first")
    return found


def measured(row: Row) -> dict[str, float]:
    """Return a row's metrics but those of the machine."""
    return {key: value for key, value in row.metrics.items() if not key.startswith("system/")}


def test_a_cell_is_one_row(first):
    assert first.name == "digits-denoising"
    assert first.status == "FINISHED"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", "digits"),
        ("model", "denoising"),
        ("latent_dim", "8"),
        ("noise_factor", "0.3"),
        ("masking", "0.0"),
        ("loss", "mse"),
        ("learning_rate", "0.01"),
        ("hidden", "[32]"),
        ("batch_size", "64"),
        ("max_epochs", str(EPOCHS)),
        ("seed", "0"),
        ("trainer.accelerator", "cpu"),
        ("threshold_method", "conformal"),
        ("threshold_alpha", "0.05"),
    ],
)
def test_every_setting_is_a_param(first, name, value):
    assert first.params[name] == value


@pytest.mark.parametrize("name", TRAINING_CURVES)
def test_a_curve_has_one_point_an_epoch(first, name):
    assert first.steps[name] == list(range(EPOCHS))


def test_curves_are_those_of_the_file(workspace):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    history = pd.read_csv(workspace / "runs/digits/denoising/train/history.csv")
    run_id = (workspace / "runs/digits/denoising/tracking/run_id").read_text().strip()
    for name in TRAINING_CURVES:
        points = client.get_metric_history(run_id, name)
        assert [point.value for point in points] == history[name].tolist()


def test_the_threshold_is_that_of_the_file(workspace, first):
    threshold = json.loads(
        (workspace / "runs/digits/denoising/calibrate/threshold.json").read_text()
    )
    assert first.metrics["threshold"] == threshold["value"]


def test_test_metrics_are_those_of_the_file(workspace, first):
    metrics = json.loads((workspace / "runs/digits/denoising/evaluate/metrics.json").read_text())
    assert {key: first.metrics[key] for key in metrics} == metrics


def test_the_run_id_names_the_row(workspace, first):
    assert (workspace / "runs/digits/denoising/tracking/run_id").read_text() == f"{first.id}\n"


@pytest.mark.parametrize(
    "path",
    [
        "settings.yaml",
        "history.csv",
        "network.json",
        "metrics.json",
        "roc.csv",
        "precision_recall.csv",
        "figures/reconstructions.png",
        "figures/histogram.png",
        "figures/roc.png",
        "figures/precision_recall.png",
        "environment/requirements.txt",
    ],
)
def test_the_file_is_an_artifact(first, path):
    assert path in first.artifacts


def test_artifacts_stand_below_mlruns(workspace, first):
    names = {path.name for path in (workspace / "mlruns").rglob("*") if path.is_file()}
    assert {Path(path).name for path in first.artifacts} <= names


def test_the_data_set_is_known_by_its_digest(workspace, first):
    sha256 = Prepared.open(workspace / "data/prepared/digits").card["sha256"]
    ((name, digest),) = first.datasets
    assert name == "digits"
    assert sha256.startswith(digest)
    assert len(digest) >= 32


def test_the_git_commit_is_known(workspace, first):
    command = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=True)
    assert first.tags["mlflow.source.git.commit"] == head.stdout.strip()


def test_the_environment_is_known(workspace, first):
    (path,) = (workspace / "mlruns").rglob("environment/requirements.txt")
    assert f"torch=={first.tags['torch']}" in path.read_text().splitlines()


@pytest.mark.parametrize("name", ["cpu_utilization_percentage", "system_memory_usage_megabytes"])
def test_the_system_is_measured(first, name):
    assert first.metrics[f"system/{name}"] > 0


@pytest.fixture(scope="module")
def pyfunc(workspace, first) -> Any:
    """Give the logged model as somebody else would load it."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{workspace}/mlflow.db")
    (model,) = first.models
    return mlflow.pyfunc.load_model(f"models:/{model}")


def test_the_model_has_a_signature_and_an_example(pyfunc):
    assert pyfunc.metadata.signature.inputs
    found = pyfunc.metadata.signature.outputs.input_names()
    assert found == ["score", "threshold", "alarm", "p_value"]
    assert pyfunc.metadata.saved_input_example_info


def test_the_model_gives_the_scores_of_the_file(workspace, pyfunc):
    expected = pd.read_parquet(workspace / "runs/digits/denoising/evaluate/scores.parquet")
    expected = expected[expected.split == "test"]
    found = pyfunc.predict(
        np.array(Prepared.open(workspace / "data/prepared/digits").split("test").x)
    )
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-6)
    assert found.alarm.tolist() == expected.alarm.tolist()


def test_the_model_refuses_samples_of_another_shape(pyfunc):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException):
        pyfunc.predict(np.zeros((2, 1, 9, 9), np.uint8))


def test_the_model_takes_its_own_example(pyfunc):
    assert len(pyfunc.predict(pyfunc.input_example)) == 1


def test_the_model_holds_no_pickle(workspace):
    suffixes = {path.suffix for path in (workspace / "mlruns/models").rglob("*") if path.is_file()}
    assert not suffixes & {".pkl", ".pickle", ".pt", ".pth", ".ckpt"}


# What happens afterwards.


def test_evaluating_again_adds_no_row(story, first):
    (row,) = story["evaluated again"]
    assert row.id == first.id
    assert measured(row) == measured(first)


def test_evaluating_again_adds_no_point_to_a_curve(story, first):
    (row,) = story["evaluated again"]
    assert {key: row.steps[key] for key in TRAINING_CURVES} == {
        key: first.steps[key] for key in TRAINING_CURVES
    }


def test_calibrating_otherwise_opens_a_second_row(story):
    assert [row.method for row in story["calibrated otherwise"]] == ["conformal", "k_sigma"]


@pytest.mark.parametrize(
    "chapter", ["calibrated otherwise", "evaluated otherwise", "calibrated as at first"]
)
def test_calibrating_otherwise_leaves_the_first_row_as_it_was(story, first, chapter):
    row = story[chapter][0]
    assert (row.id, row.params, measured(row)) == (first.id, first.params, measured(first))
    assert row.artifacts == first.artifacts
    assert set(row.models) >= set(first.models)
    assert row.status == "FINISHED"


def test_calibrating_as_at_first_logs_no_second_model(story, first):
    assert story["calibrated as at first"][0].models == first.models


def test_the_second_row_carries_the_training(story, first):
    row = story["calibrated otherwise"][1]
    settings = {key: value for key, value in first.params.items() if "threshold" not in key}
    assert row.params == {**settings, "threshold_method": "k_sigma", "threshold_k": "2.5"}
    assert {key: row.steps[key] for key in TRAINING_CURVES} == {
        key: first.steps[key] for key in TRAINING_CURVES
    }
    assert row.datasets == first.datasets
    assert row.artifacts >= {"settings.yaml", "history.csv", "network.json"}
    for key in ("best_validation_error", "best_epoch", "epochs", "train_loss"):
        assert row.metrics[key] == first.metrics[key]


def test_the_second_row_has_no_metrics_before_it_is_evaluated(story):
    assert "AUROC" not in story["calibrated otherwise"][1].metrics


def test_the_second_row_has_its_own_model(story, first):
    (model,) = story["calibrated otherwise"][1].models
    assert model not in first.models


def test_evaluating_otherwise_fills_the_second_row(story, first):
    one, two = story["evaluated otherwise"]
    assert one.metrics["AUROC"] == two.metrics["AUROC"]
    assert one.metrics["threshold"] != two.metrics["threshold"]
    assert two.artifacts >= {"figures/histogram.png", "metrics.json"}
    assert two.status == "FINISHED"


def test_going_back_to_the_first_calibration_finds_the_first_row(story):
    one, two = story["evaluated otherwise"]
    again, other = story["evaluated as at first"]
    assert [again.id, other.id] == [one.id, two.id]
    assert measured(again) == measured(one)
    assert measured(other) == measured(two)


def test_every_row_can_be_told_from_the_others_by_its_params(story):
    params = [tuple(sorted(row.params.items())) for row in story["evaluated as at first"]]
    assert len(set(params)) == 2


# A fresh clone: the files are there, the runs are not.


@pytest.fixture
def clone(workspace, tmp_path) -> Path:
    """Give a copy of the working folder without the record."""
    ignored = shutil.ignore_patterns("mlflow.db*", "mlruns", "checkpoints")
    return Path(shutil.copytree(workspace, tmp_path / "clone", ignore=ignored))


@pytest.mark.parametrize(
    "stages",
    [[calibrate_threshold, evaluate], pytest.param([evaluate], marks=pytest.mark.slow)],
    ids=len,
)
def test_a_fresh_clone_opens_a_row_that_carries_the_training(clone, first, stages):
    set_yaml(clone / "params.yaml", "calibration", value=CONFORMAL)
    with working_in(clone, DirectRecorder):
        for stage in stages:
            stage(*CELL)
    (row,) = rows(clone)
    assert row.params == first.params
    assert measured(row) == pytest.approx(measured(first))
    assert {key: row.steps[key] for key in TRAINING_CURVES} == {
        key: first.steps[key] for key in TRAINING_CURVES
    }
    assert row.datasets == first.datasets


@pytest.fixture(scope="module")
def rebuilt(workspace, first, story, tmp_path_factory) -> dict[str, tuple[str, list[Row]]]:
    """Give what `hourglass record --all` says and leaves in a clone, in one state and another."""
    ignored = shutil.ignore_patterns("mlflow.db*", "mlruns", "checkpoints")
    folder = tmp_path_factory.mktemp("rebuilt") / "clone"
    shutil.copytree(workspace, folder, ignore=ignored)
    found, cell = {}, folder / "runs" / Path(*CELL)

    def after(chapter: str) -> None:
        with redirect_stdout(io.StringIO()) as said:
            record(all=True)
        found[chapter] = (said.getvalue(), rows(folder))

    with working_in(folder):
        after("empty")
        before = (folder / "mlflow.db").read_bytes()
        after("twice")
        assert (folder / "mlflow.db").read_bytes() == before
        lose_half(folder)
        after("half")
        old = json.loads((cell / "calibrate/threshold.json").read_text())
        write_json(cell / "calibrate/threshold.json", {**old, "value": old["value"] * 2})
        after("calibrated otherwise")
    return found


def lose_half(folder: Path) -> None:
    """Take away what a recorder that died half-way would not have written, and an artifact."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"DELETE FROM {table} WHERE key = 'AUROC'")
        database.execute("DELETE FROM metrics WHERE key = 'validation_error' AND step = 2")
        database.execute("UPDATE latest_metrics SET step = 1 WHERE key = 'validation_error'")
        database.execute("DELETE FROM params WHERE key = 'seed'")
        database.execute("DELETE FROM tags WHERE key IN (?, ?)", [f"{RECORDED}.train",
                         f"{RECORDED}.evaluate"])  # fmt: skip
        database.execute("UPDATE runs SET status = 'RUNNING'")
        database.commit()
    (picture,) = (folder / "mlruns").rglob("figures/roc.png")
    picture.unlink()


@pytest.mark.parametrize("chapter", ["empty", "twice", "half"])
def test_record_gives_back_the_row_that_the_stages_wrote(rebuilt, first, chapter):
    _, (row,) = rebuilt[chapter]
    assert (row.name, row.status) == (first.name, "FINISHED")
    assert row.params == first.params
    assert measured(row) == measured(first)
    assert {key: row.steps[key] for key in measured(row)} == {
        key: first.steps[key] for key in measured(first)
    }
    assert row.datasets == first.datasets
    assert row.artifacts == first.artifacts - {"environment/requirements.txt"}
    assert len(row.models) == len(first.models)


def test_record_gives_back_the_commit_and_the_versions(rebuilt, first):
    _, (row,) = rebuilt["empty"]
    for name in ("mlflow.source.git.commit", "git.uncommitted_changes", "torch", "python"):
        assert row.tags[name] == first.tags[name]


@pytest.mark.parametrize(
    ("chapter", "done"),
    [("empty", "recorded"), ("twice", "already there"), ("half", "completed")],
)
def test_record_says_what_it_did_with_each_cell(rebuilt, chapter, done):
    assert rebuilt[chapter][0] == f"digits-denoising: {done}\n"


def test_record_leaves_out_what_is_of_an_earlier_calibration(rebuilt):
    said, found = rebuilt["calibrated otherwise"]
    one, two = sorted(found, key=lambda row: row.metrics["threshold"])
    assert said == "digits-denoising: recorded, but evaluate is of an earlier calibration\n"
    assert "AUROC" in one.metrics
    assert "AUROC" not in two.metrics
    assert two.metrics["threshold"] == 2 * one.metrics["threshold"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({}, "--all"),
        ({"data": "digits"}, "--all"),
        ({"data": "digits", "model": "linear"}, "train"),
    ],
    ids=str,
)
def test_record_refuses_what_is_no_trained_cell(clone, refusal, arguments, word):
    with working_in(clone):
        assert word in refusal(record, **arguments)


def test_record_refuses_a_server_that_does_not_answer(clone, refusal, closed_port, monkeypatch):
    with working_in(clone):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
        assert "nothing is lost" in refusal(record, *CELL)


def test_a_row_deleted_by_the_user_stays_deleted(clone, workspace):
    shutil.copy(workspace / "mlflow.db", clone)
    with working_in(clone, DirectRecorder):
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{clone}/mlflow.db")
        deleted = rows(clone)
        for row in deleted:
            client.delete_run(row.id)
        evaluate(*CELL)
    (row,) = rows(clone)
    assert row.id not in {each.id for each in deleted}
    assert row.params["data"] == "digits"
    assert "AUROC" in row.metrics


def test_a_deleted_experiment_is_refused_with_the_way_out(clone, refusal):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{clone}/mlflow.db")
    client.delete_experiment(client.create_experiment("hourglass"))
    with working_in(clone, DirectRecorder):
        assert "restore it" in refusal(calibrate_threshold, *CELL)


# What goes wrong.


@pytest.mark.parametrize(
    "recorder", [DirectRecorder, pytest.param(None, marks=pytest.mark.slow, id="Recorder")]
)
def test_a_training_that_fails_is_marked_as_failed(tmp_path, recorder):
    folder = make_workspace(tmp_path / "workspace")
    set_yaml(folder / "configs/model/denoising.yaml", "init_args", "learning_rate", value=1e30)
    with working_in(folder, recorder), pytest.raises(UserError):
        train(*CELL)
    (row,) = rows(folder)
    assert row.status == "FAILED"
    assert row.params["learning_rate"] == "1e+30"


@pytest.mark.slow
def test_a_training_after_a_failed_one_is_a_row_of_its_own(tmp_path):
    folder = make_workspace(tmp_path / "workspace")
    model = folder / "configs/model/denoising.yaml"
    set_yaml(model, "init_args", "learning_rate", value=1e30)
    with working_in(folder, DirectRecorder):
        with pytest.raises(UserError):
            train(*CELL)
        set_yaml(model, "init_args", "learning_rate", value=1e-3)
        train(*CELL)
    failed, finished = rows(folder)
    assert (failed.status, finished.status) == ("FAILED", "FINISHED")
    assert finished.steps["train_loss"] == list(range(EPOCHS))


@pytest.mark.parametrize("ended", ["KILLED", "FINISHED", "FAILED"])
def test_a_training_that_another_replaced_is_killed_unless_it_had_ended(tmp_path, ended):
    def begin(token: str, replaced: str) -> Record:
        record = Record(folder)
        card = Prepared.open(prepared_folder(CELL[0])).card
        record.train(token, replaced, token, params={}, dataset=dataset(card))
        record.surroundings()
        return record

    folder = make_workspace(tmp_path / "workspace")
    with working_in(folder):
        old = begin("old", "")
        if ended == "KILLED":
            old.monitor.finish()
        else:
            old.finish(ended)
        begin("new", "old").finish("FINISHED")
    assert [row.status for row in rows(folder)] == [ended, "FINISHED"]


@pytest.fixture(scope="module")
def prepared(new_project) -> Project:
    """Give a copy of the repository in which a data set is prepared."""
    project: Project = new_project()
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.hourglass("prepare", "digits")
    return project


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory) -> Project:
    """Give another in which a cell is trained and calibrated besides."""
    folder = tmp_path_factory.mktemp("trained") / "hourglass"
    project = Project(Path(shutil.copytree(prepared.folder, folder)))
    project.hourglass("train", "digits", "linear")
    project.hourglass("calibrate-threshold", "digits", "linear")
    return project


@pytest.fixture
def closed_port() -> int:
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Give the port of a server that accepts and never answers."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield int(listening.getsockname()[1])


@pytest.fixture
def mute_port() -> Iterator[int]:
    """Give the port of a server that accepts and hangs up."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)

        def serve() -> None:
            while True:
                try:
                    listening.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)


def refused(project: Project, verb: str, uri: str) -> str:
    """Run a verb that must be refused and leave nothing; return the sentence."""
    if verb == "calibrate-threshold":  # DVC deletes what a stage is to write
        (project / "runs/digits/linear/calibrate/threshold.json").unlink()
    before = project.files("runs")
    found = project.hourglass(verb, "digits", "linear", status=1, MLFLOW_TRACKING_URI=uri)
    assert project.files("runs") == before
    assert found.stdout == ""
    (line,) = found.stderr.splitlines()
    assert line.startswith("hourglass: ")
    return line


def unrecorded(project: Project, verb: str, uri: str) -> str:
    """Run a verb whose store is away: it ends well, with all of its files; return what it says."""
    found = project.hourglass(verb, "digits", "linear", MLFLOW_TRACKING_URI=uri)
    (line,) = found.stderr.splitlines()
    assert line.startswith("hourglass: not recorded in MLflow: ")
    assert "hourglass record --all" in line
    written = {"train": TRAINED, "calibrate-threshold": CALIBRATED, "evaluate": ["metrics.json"]}
    assert {f"runs/digits/linear/{name}" for name in written[verb]} <= set(project.files("runs"))
    return line


VERBS = ["train", "calibrate-threshold", "evaluate"]


@pytest.fixture
def target(request, verb, tmp_path) -> Project:
    """Give a copy of the repository in which everything before `verb` is done."""
    done: Project = request.getfixturevalue("prepared" if verb == "train" else "trained")
    return Project(Path(shutil.copytree(done.folder, tmp_path / "hourglass")))


on_train = pytest.mark.parametrize("verb", ["train"])
on_calibrate = pytest.mark.parametrize("verb", ["calibrate-threshold"])


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.slow
def test_a_server_that_is_not_there_stops_no_stage(target, verb, closed_port):
    uri = f"http://127.0.0.1:{closed_port}"
    assert uri in unrecorded(target, verb, uri)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_server_that_never_answers_costs_a_stage_some_seconds(target, verb, silent_port):
    begun = time.monotonic()
    uri = f"http://127.0.0.1:{silent_port}"
    assert uri in unrecorded(target, verb, uri)
    assert time.monotonic() - begun < 60


@on_train
@pytest.mark.slow
def test_a_server_that_hangs_up_stops_no_stage(target, verb, mute_port):
    uri = f"http://127.0.0.1:{mute_port}"
    assert uri in unrecorded(target, verb, uri)


@on_train
@pytest.mark.slow
def test_a_database_of_something_else_is_refused_in_one_sentence(target, verb):
    (target / "mlflow.db").write_bytes(b"this is no database" * 1000)
    refused(target, verb, "")


@on_train
@pytest.mark.slow
def test_a_store_of_an_unknown_kind_is_refused_in_one_sentence(target, verb):
    refused(target, verb, "carrier-pigeon://coop")


@pytest.mark.slow
def test_two_trainings_may_begin_with_an_empty_store_at_once(project):
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.hourglass("prepare", "digits")
    started = [
        project.start("python", "src/hourglass", "train", "digits", model)
        for model in ("linear", "denoising", "undercomplete")
    ]
    ended = [(process.communicate()[1], process.returncode) for process in started]
    assert [status for _, status in ended] == [0, 0, 0], ended
    assert sorted(row.name for row in rows(project.folder)) == [
        "digits-denoising",
        "digits-linear",
        "digits-undercomplete",
    ]
    assert {row.status for row in rows(project.folder)} == {"FINISHED"}


@on_calibrate
@pytest.mark.slow
def test_a_locked_database_is_waited_for(target, verb):
    """Another stage, or the UI, may be writing just then."""
    with closing(sqlite3.connect(target / "mlflow.db", isolation_level=None)) as database:
        process = target.start("python", "src/hourglass", verb, "digits", "linear")
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(15)
        database.execute("COMMIT")
        _, errors = process.communicate()
    assert process.returncode == 0, errors


@on_calibrate
@pytest.mark.slow
def test_the_environment_names_another_store_and_experiment(target, verb, tmp_path):
    uri = f"sqlite:///{tmp_path}/elsewhere.db"
    before = (target / "mlflow.db").read_bytes()
    target.hourglass(
        verb, "digits", "linear",
        MLFLOW_TRACKING_URI=uri, MLFLOW_EXPERIMENT_NAME="mine",
    )  # fmt: skip
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("mine")
    assert experiment
    assert len(client.search_runs([experiment.experiment_id])) == 1
    assert (target / "mlflow.db").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("model", ["linear", "convolutional"])
def test_the_model_of_a_table_takes_a_frame_with_named_columns(tmp_path, model):
    import mlflow

    folder = make_workspace(tmp_path / "workspace", "breast_cancer")
    with working_in(folder, DirectRecorder):
        train("breast_cancer", model)
        calibrate_threshold("breast_cancer", model)
        evaluate("breast_cancer", model)
    (row,) = rows(folder)
    pyfunc = mlflow.pyfunc.load_model(f"models:/{row.models[0]}")
    prepared = Prepared.open(folder / "data/prepared/breast_cancer")
    frame = pd.DataFrame(prepared.split("test").x, columns=prepared.card["feature_names"])
    expected = pd.read_parquet(folder / f"runs/breast_cancer/{model}/evaluate/scores.parquet")
    expected = expected[expected.split == "test"]
    found = pyfunc.predict(frame[frame.columns[::-1]])  # by name, not by place
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-6)
    assert len(pyfunc.predict(pyfunc.input_example)) == 1


def test_the_model_answers_its_own_example_as_a_server_would_send_it(workspace, first):
    """Logging leaves this trial out."""
    import mlflow
    from mlflow.models import convert_input_example_to_serving_input
    from mlflow.pyfunc.scoring_server import _parse_json_data

    mlflow.set_tracking_uri(f"sqlite:///{workspace}/mlflow.db")
    pyfunc = mlflow.pyfunc.load_model(f"models:/{first.models[0]}")
    request = convert_input_example_to_serving_input(pyfunc.input_example)
    sent = _parse_json_data(request, pyfunc.metadata, pyfunc.metadata.get_input_schema())
    (score,) = pyfunc.predict(sent.data).score
    assert score >= 0


def test_a_recorder_that_died_is_no_success(stage_folder):
    def work() -> None:
        with Recorder() as recorder:
            recorder._child.kill()
            recorder._child.wait()

    with pytest.raises(UserError, match="died"):
        work()


@pytest.mark.slow
def test_a_model_that_was_cut_short_is_logged_again(stage_folder, monkeypatch):
    import mlflow

    for stage in ("train", "calibrate_threshold"):
        monkeypatch.setattr(f"hourglass.stages.{stage}.Recorder", DirectRecorder)
    prepare("digits")
    train("digits", "linear")
    with monkeypatch.context() as broken:
        broken.setattr("mlflow.pyfunc.save_model", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            calibrate_threshold("digits", "linear")
    calibrate_threshold("digits", "linear")
    (row,) = rows(stage_folder)
    found = [mlflow.get_logged_model(each).status for each in row.models]
    assert sorted(found) == ["FAILED", "READY"]


@pytest.mark.slow
def test_the_model_loads_where_the_package_is_not(workspace, first, tmp_path):
    """As a server does: from the code that was logged with it."""
    program = (
        "import sys, mlflow, numpy\n"
        "sys.modules.pop('hourglass', None)\n"
        "sys.meta_path = [each for each in sys.meta_path if 'editable' not in repr(each).lower()]\n"
        "sys.path = [each for each in sys.path if not each.endswith('/src')]\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "import hourglass\n"
        "assert 'artifacts' in hourglass.__file__, hourglass.__file__\n"
        "print(model.predict(numpy.zeros((2, 1, 8, 8), numpy.uint8)).shape)\n"
    )
    found = Project(tmp_path).run(
        "python", "-c", program, f"models:/{first.models[0]}",
        MLFLOW_TRACKING_URI=f"sqlite:///{workspace}/mlflow.db",
    )  # fmt: skip
    assert found.stdout.splitlines()[-1] == "(2, 4)"
