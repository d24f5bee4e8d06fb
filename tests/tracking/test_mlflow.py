"""The record of a cell: one run per training and calibration, nothing overwritten or lost."""

import io
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest

from hourglass.cli.record import record
from hourglass.core.atomic import write_json
from hourglass.data.prepared_data import Prepared
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.tracking.record import RECORDED
from tests.tracking.stored import CELL, EPOCHS, HISTORY, Row, rows
from tests.workspaces import DirectRecorder, FakeRecorder, set_yaml, working_in

FOLDER = "runs/digits/denoising"
CONFORMAL = {
    "class_path": "hourglass.detection.calibrators.Conformal",
    "init_args": {"alpha": 0.05},
}
K_SIGMA = {"class_path": "hourglass.detection.calibrators.KSigma", "init_args": {"k": 2.5}}
PARAMS = {
    "data": "digits",
    "model": "denoising",
    "latent_dim": "8",
    "noise_factor": "0.3",
    "loss": "mse",
    "learning_rate": "0.01",
    "hidden": "[128]",
    "batch_size": "64",
    "max_epochs": str(EPOCHS),
    "seed": "0",
    "trainer.accelerator": "cpu",
    "threshold_method": "conformal",
    "threshold_alpha": "0.05",
    "pixel_image_rate": "0.05",
}
ARTIFACTS = {
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
}


def test_a_cell_is_one_finished_run_which_run_id_names(workspace, first):
    assert (first.name, first.status) == ("digits-denoising", "FINISHED")
    assert (workspace / FOLDER / "tracking/run_id").read_text() == f"{first.id}\n"


def test_every_setting_with_an_effect_is_a_param(first):
    assert first.params.items() >= PARAMS.items()
    assert not {"masking", "tied", "weight_decay", "threshold_delta"} & first.params.keys()


def test_the_curves_are_those_of_the_history(workspace, first):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    history = pd.read_csv(workspace / FOLDER / "train/history.csv")
    for name in HISTORY:
        points = client.get_metric_history(first.id, f"training/{name}")
        assert [point.step for point in points] == list(range(EPOCHS))
        assert [point.value for point in points] == pytest.approx(history[name].tolist(), rel=1e-4)


def test_threshold_and_test_metrics_are_those_of_the_files(workspace, first):
    threshold = json.loads((workspace / FOLDER / "calibrate/threshold.json").read_text())
    assert first.metrics["calibration/threshold"] == pytest.approx(threshold["value"], rel=1e-4)
    pixels = json.loads((workspace / FOLDER / "calibrate/detector.json").read_text())["pixels"]
    expected = pytest.approx(pixels["threshold"]["value"], rel=1e-4)
    assert first.metrics["calibration/pixel_threshold"] == expected
    metrics = json.loads((workspace / FOLDER / "evaluate/metrics.json").read_text())
    shown = {
        key.partition("/")[2]: value
        for key, value in first.metrics.items()
        if key.startswith(("test/", "interval/"))
    }
    assert shown == pytest.approx(metrics, rel=1e-4)
    ends = {key for key in first.metrics if key.endswith(("_low", "_high"))}
    assert ends == {key for key in first.metrics if key.startswith("interval/")}


def test_metrics_have_five_digits_and_a_section(first):
    sections = {"training", "calibration", "test", "interval", "timing"}
    assert {key.partition("/")[0] for key in first.measured} == sections
    for value in first.measured.values():
        assert value == int(value) or value == float(f"{value:.5g}")


def test_the_model_has_the_name_of_the_cell_and_the_metrics_of_the_test_split(workspace, first):
    from mlflow import MlflowClient

    model = MlflowClient(f"sqlite:///{workspace}/mlflow.db").get_logged_model(first.models[0])
    assert model.name == "digits-denoising"
    found = {metric.key: metric.value for metric in model.metrics}
    assert found == {k: v for k, v in first.metrics.items() if k.startswith(("test/", "interval/"))}
    assert {metric.dataset_name for metric in model.metrics} == {"digits"}


def test_the_description_tells_quality_and_commands(first):
    note = first.tags["mlflow.note.content"]
    assert f"AUROC {first.metrics['test/AUROC']:.3f}" in note
    assert "dvc repro evaluate@digits-denoising" in note


def test_the_files_of_the_stages_are_artifacts_below_mlruns(workspace, first):
    assert first.artifacts >= ARTIFACTS
    names = {path.name for path in (workspace / "mlruns").rglob("*") if path.is_file()}
    assert {Path(path).name for path in first.artifacts} <= names


def test_the_data_set_is_an_input_with_its_digest(workspace, first):
    sha256 = Prepared.open(workspace / "data/prepared/digits").card["sha256"]
    ((name, digest),) = first.datasets
    assert (name, digest) == ("digits", sha256[: len(digest)])
    assert len(digest) >= 32


def test_commit_and_packages_are_recorded(workspace, first):
    command = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=True)
    assert first.tags["mlflow.source.git.commit"] == head.stdout.strip()
    (path,) = (workspace / "mlruns").rglob("environment/requirements.txt")
    assert f"torch=={first.tags['torch']}" in path.read_text().splitlines()


# Stages that run again.


@pytest.fixture(scope="module")
def story(workspace, first, tmp_path_factory) -> dict[str, list[Row]]:
    """Give the runs after each of several repetitions of the stages of the cell."""
    folder = Path(shutil.copytree(workspace, tmp_path_factory.mktemp("story") / "workspace"))
    params, found = folder / "params.yaml", {}
    with working_in(folder, DirectRecorder):
        evaluate(*CELL)
        found["evaluated again"] = rows(folder)
        set_yaml(params, "calibration", value=K_SIGMA)
        calibrate_threshold(*CELL)
        found["calibrated otherwise"] = rows(folder)
        evaluate(*CELL)
        found["evaluated otherwise"] = rows(folder)
        set_yaml(params, "calibration", value=CONFORMAL)
        calibrate_threshold(*CELL)
        found["calibrated as at first"] = rows(folder)
        evaluate(*CELL)
        found["evaluated as at first"] = rows(folder)
    return found


def test_evaluating_again_changes_nothing(story, first):
    (row,) = story["evaluated again"]
    assert (row.id, row.measured, row.curves) == (first.id, first.measured, first.curves)


@pytest.mark.parametrize(
    "chapter", ["calibrated otherwise", "evaluated otherwise", "calibrated as at first"]
)
def test_another_calibration_leaves_the_first_run_as_it_was(story, first, chapter):
    row, other = story[chapter]
    assert (row.id, row.status, row.params) == (first.id, "FINISHED", first.params)
    assert (row.measured, row.artifacts) == (first.measured, first.artifacts)
    assert row.models == first.models
    assert [row.method, other.method] == ["conformal", "k_sigma"]


def test_the_run_of_another_calibration_carries_the_training(story, first):
    row = story["calibrated otherwise"][1]
    settings = {key: value for key, value in first.params.items() if "threshold" not in key}
    assert row.params == {**settings, "threshold_method": "k_sigma", "threshold_k": "2.5"}
    assert (row.curves, row.datasets) == (first.curves, first.datasets)
    assert row.artifacts >= {"settings.yaml", "history.csv", "network.json"}
    for key in ("best_validation_error", "best_epoch", "epochs", "train_loss"):
        assert row.metrics[f"training/{key}"] == first.metrics[f"training/{key}"]
    assert "test/AUROC" not in row.metrics  # it is not evaluated yet
    (model,) = row.models
    assert model not in first.models


def test_each_evaluation_goes_to_the_run_of_its_calibration(story, first):
    one, two = story["evaluated otherwise"]
    assert one.metrics["test/AUROC"] == two.metrics["test/AUROC"]
    assert one.metrics["calibration/threshold"] != two.metrics["calibration/threshold"]
    assert two.artifacts >= {"figures/histogram.png", "metrics.json"}
    assert two.status == "FINISHED"
    again, other = story["evaluated as at first"]
    assert [again.id, other.id] == [one.id, two.id]
    assert [again.measured, other.measured] == [one.measured, two.measured]
    assert again.params != other.params


# A store without the runs of the files.


def test_weights_identify_the_training_without_a_run_id(workspace, first, tmp_path):
    """A clone that shares the store: DVC brings the weights and not the folder `tracking`."""
    folder = Path(shutil.copytree(workspace, tmp_path / "clone"))
    shutil.rmtree(folder / FOLDER / "tracking")
    with working_in(folder, DirectRecorder):
        evaluate(*CELL)
    (row,) = rows(folder)
    assert (row.id, row.measured) == (first.id, first.measured)


@pytest.mark.parametrize("old", ["run", "token"])
def test_a_run_of_an_earlier_version_is_found_by_its_id_or_token(workspace, first, tmp_path, old):
    """Its run_id held the token of the training if the store did not answer then."""
    folder = Path(shutil.copytree(workspace, tmp_path / "old"))
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.execute("DELETE FROM tags WHERE key = 'hourglass.weights'")
        database.commit()
    times = json.loads((folder / FOLDER / "tracking/train.json").read_text())
    token = times.pop("token")
    write_json(folder / FOLDER / "tracking/train.json", times)
    if old == "token":
        (folder / FOLDER / "tracking/run_id").write_text(f"{token}\n")
    with working_in(folder, DirectRecorder):
        evaluate(*CELL)
    (row,) = rows(folder)
    assert (row.id, row.measured) == (first.id, first.measured)


@pytest.mark.parametrize(
    "stages",
    [[calibrate_threshold, evaluate], pytest.param([evaluate], marks=pytest.mark.slow)],
    ids=len,
)
def test_a_stage_on_an_empty_store_records_the_training_too(clone, first, stages):
    with working_in(clone, DirectRecorder):
        for stage in stages:
            stage(*CELL)
    (row,) = rows(clone)
    assert (row.params, row.curves, row.datasets) == (first.params, first.curves, first.datasets)
    assert row.measured == pytest.approx(first.measured)


def test_a_deleted_run_stays_deleted(clone, workspace):
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
    assert "test/AUROC" in row.metrics


# The command `record`.


@pytest.fixture(scope="module")
def rebuilt(new_clone) -> dict[str, tuple[str, list[Row]]]:
    """Give what `hourglass record --all` prints and leaves, for several states of the store."""
    found, folder = {}, new_clone()

    def after(chapter: str) -> None:
        with redirect_stdout(io.StringIO()) as output:
            record(all=True)
        found[chapter] = (output.getvalue(), rows(folder))

    with working_in(folder):
        after("empty")
        before = (folder / "mlflow.db").read_bytes()
        after("complete")
        assert (folder / "mlflow.db").read_bytes() == before
        lose_half(folder)
        after("half")
        set_yaml(folder / "params.yaml", "calibration", value=K_SIGMA)
        with working_in(folder, FakeRecorder()):
            calibrate_threshold(*CELL)
        after("calibrated otherwise")
    return found


def lose_half(folder: Path) -> None:
    """Remove an artifact, and entries that a process killed while recording would not write."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"DELETE FROM {table} WHERE key = 'test/AUROC'")
        database.execute("DELETE FROM metrics WHERE key = 'training/validation_error' AND step = 2")
        database.execute(
            "UPDATE latest_metrics SET step = 1 WHERE key = 'training/validation_error'"
        )
        database.execute("DELETE FROM params WHERE key = 'seed'")
        database.execute("DELETE FROM tags WHERE key IN (?, ?)", [f"{RECORDED}.train",
                         f"{RECORDED}.evaluate"])  # fmt: skip
        database.execute("UPDATE runs SET status = 'RUNNING'")
        database.commit()
    (picture,) = (folder / "mlruns").rglob("figures/roc.png")
    picture.unlink()


@pytest.mark.parametrize(
    ("chapter", "done"),
    [("empty", "recorded"), ("complete", "already there"), ("half", "completed")],
)
def test_record_restores_the_run_that_the_stages_wrote(rebuilt, first, chapter, done):
    output, (row,) = rebuilt[chapter]
    assert output == f"digits-denoising: {done}\n"
    assert (row.name, row.status, row.params) == (first.name, "FINISHED", first.params)
    assert row.measured == first.measured
    assert {key: row.steps[key] for key in row.measured} == {
        key: first.steps[key] for key in first.measured
    }
    assert row.datasets == first.datasets
    assert row.artifacts == first.artifacts - {"environment/requirements.txt"}
    assert len(row.models) == len(first.models)
    for name in ("mlflow.source.git.commit", "git.uncommitted_changes", "torch", "python"):
        assert row.tags[name] == first.tags[name]


def test_record_leaves_out_the_evaluation_of_an_earlier_calibration(rebuilt):
    output, found = rebuilt["calibrated otherwise"]
    one, two = sorted(found, key=lambda row: row.method)
    assert output == "digits-denoising: recorded, but evaluate belongs to an earlier calibration\n"
    assert "test/AUROC" in one.metrics
    assert "test/AUROC" not in two.metrics
    assert (one.method, two.method) == ("conformal", "k_sigma")
    assert two.metrics["calibration/threshold"] != one.metrics["calibration/threshold"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({}, "--all"),
        ({"data": "digits"}, "--all"),
        ({"data": "digits", "model": "linear"}, "train"),
    ],
    ids=str,
)
def test_record_asks_for_a_trained_cell(clone, refusal, arguments, word):
    with working_in(clone):
        assert word in refusal(record, **arguments)


def test_record_names_a_cell_that_was_trained_on_other_data(clone, refusal, capsys):
    summary = clone / FOLDER / "train/training.json"
    write_json(summary, {**json.loads(summary.read_text()), "data": "0" * 64})
    with working_in(clone):
        assert "1 of 1 cells" in refusal(record, all=True)
    assert "digits-denoising: not recorded: it was trained on other data" in capsys.readouterr().out
