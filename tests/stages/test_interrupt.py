"""A training killed with `kill -9` goes on, and ends as an undisturbed one does."""

import os
import shutil
import signal
import time
from pathlib import Path
from subprocess import Popen
from typing import Any

import pandas as pd
import pytest
import torch

from tests.tracking.stored import TRAINING_CURVES, rows
from tests.workspaces import Project, children, kill, wait_for_end, wait_until

pytestmark = pytest.mark.slow

EPOCHS = 400  # a few seconds: checkpoints are written as a fiftieth of the time allows
SAMPLES = 722  # of digits, in train
CELL = "runs/digits/denoising"  # its noise is drawn in every step
KEPT = "checkpoints/digits-denoising"


def set_up(project: Project) -> Project:
    """Make a training long enough to be killed in the middle."""
    training = {"batch_size": 8, "max_epochs": EPOCHS, "patience": EPOCHS}
    project.set("configs/data/digits.yaml", "training", value=training)
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["denoising"])
    project.hourglass("prepare", "digits")
    return project


@pytest.fixture(scope="module")
def undisturbed(new_project) -> Project:
    """Give a workspace in which the training ran in one go."""
    project = set_up(new_project())
    project.hourglass("train", "digits", "denoising")
    return project


@pytest.fixture
def ready(new_project, undisturbed) -> Project:
    """Give a workspace in which the same training can begin."""
    project: Project = new_project()
    for name in ("configs", "params.yaml", "data"):
        copy = shutil.copytree if (undisturbed / name).is_dir() else shutil.copy
        if (project / name).is_dir():
            shutil.rmtree(project / name)
        copy(undisturbed / name, project / name)
    return project


def start(project: Project) -> Popen[str]:
    return project.start("python", "src/hourglass", "train", "digits", "denoising")


def epochs_kept(project: Project) -> int:
    """Return how many epochs the last checkpoint knows; 0 where there is none."""
    path = project / f"{KEPT}/last.ckpt"
    if not path.exists():
        return 0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return len(state["callbacks"]["History"]["rows"])


def kill_after(project: Project, epochs: int) -> int:
    """Train until so many epochs are kept, kill -9, and return how many are kept then."""
    process = start(project)
    wait_until(lambda: epochs_kept(project) >= epochs, process)
    kill(process)
    kept = epochs_kept(project)
    assert epochs <= kept < EPOCHS, "the kill came too late to show anything"
    return kept


def new_epochs(project: Project) -> int:
    """Return how many epochs the last run of `train` took, by its own account of its speed."""
    summary = project.read(f"{CELL}/tracking/train.json")
    return round(summary["seconds"] * summary["samples_per_second"] / SAMPLES)


def assert_same_outcome(project: Project, undisturbed: Project) -> None:
    for name in ("weights.safetensors", "network.json", "history.csv", "settings.yaml"):
        ours, theirs = (each / f"{CELL}/train/{name}" for each in (project, undisturbed))
        assert ours.read_bytes() == theirs.read_bytes(), name


def assert_one_whole_row(project: Project) -> None:
    (row,) = rows(project.folder)
    assert row.status == "FINISHED"
    assert row.id == (project / f"{CELL}/tracking/run_id").read_text().strip()
    for name in TRAINING_CURVES:
        assert row.steps[name] == list(range(EPOCHS)), name
    history = pd.read_csv(project / f"{CELL}/train/history.csv")
    assert row.metrics["validation_error"] == history.validation_error.iloc[-1]


def test_a_killed_training_goes_on_and_ends_at_the_same_weights(ready, undisturbed):
    kept = kill_after(ready, 10)
    assert not ready.files("runs")
    ready.hourglass("train", "digits", "denoising")
    assert new_epochs(ready) == EPOCHS - kept
    assert_same_outcome(ready, undisturbed)
    assert_one_whole_row(ready)


def test_a_training_killed_three_times_ends_at_the_same_weights(ready, undisturbed):
    kept = 0
    for epochs in (3, 10, 20):
        kept = kill_after(ready, max(epochs, kept + 1))
    ready.hourglass("train", "digits", "denoising")
    assert new_epochs(ready) == EPOCHS - kept
    assert_same_outcome(ready, undisturbed)
    assert_one_whole_row(ready)


def test_a_stack_killed_in_a_phase_goes_on_in_it(new_project):
    outcomes = []
    for killed in (False, True):
        project: Project = new_project()
        training = {"batch_size": 8, "max_epochs": 3, "patience": EPOCHS}
        project.set("configs/data/digits.yaml", "training", value=training)
        project.set("configs/model/stacked.yaml", "init_args", "pretrain_epochs", value=12)
        project.hourglass("prepare", "digits")
        command = ("python", "src/hourglass", "train", "digits", "stacked")
        if killed:
            process = project.start(*command)
            wait_until((project / "checkpoints/digits-stacked/layer_2/last.ckpt").exists, process)
            kill(process)
            assert not (project / "checkpoints/digits-stacked/layer_3").exists()
        project.run(*command)
        (row,) = rows(project.folder)
        assert row.status == "FINISHED"
        for layer in (1, 2, 3):
            assert row.steps[f"layer_{layer}_train_loss"] == list(range(12))
        names = ("weights.safetensors", "history.csv")
        outcomes.append(
            [(project / "runs/digits/stacked/train" / name).read_bytes() for name in names]
        )
    assert outcomes[0] == outcomes[1]


def test_a_training_killed_before_its_first_epoch_leaves_one_row(ready, undisturbed):
    process = start(ready)
    wait_until(lambda: (ready / f"{KEPT}/state.json").exists(), process)
    kill(process)
    ready.hourglass("train", "digits", "denoising")
    assert_same_outcome(ready, undisturbed)
    assert_one_whole_row(ready)


def test_epochs_that_were_not_recorded_before_a_kill_are_recorded_later(ready, undisturbed):
    """A slow server, or a busy database: the training is ahead of its record when it is killed."""
    process = start(ready)
    wait_until(lambda: epochs_kept(ready) >= 5, process)
    (recorder,) = (
        child for child in children(process) if "recording_process" in str(child.cmdline())
    )
    recorder.send_signal(signal.SIGSTOP)
    at = epochs_kept(ready)
    wait_until(lambda: epochs_kept(ready) >= at + 5, process)
    kill(process)
    assert epochs_kept(ready) < EPOCHS, "the kill came too late to show anything"
    ready.hourglass("train", "digits", "denoising")
    assert_same_outcome(ready, undisturbed)
    assert_one_whole_row(ready)


def test_only_the_training_process_is_killed(ready, undisturbed):
    """As the kernel does if memory runs out: the recording process ends by itself."""
    process = start(ready)
    wait_until(lambda: epochs_kept(ready) >= 5, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for_end(ready.folder)
    ready.hourglass("train", "digits", "denoising")
    assert_same_outcome(ready, undisturbed)
    assert_one_whole_row(ready)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_training_stopped_politely_goes_on(ready, undisturbed, sent):
    process = start(ready)
    wait_until(lambda: epochs_kept(ready) >= 5, process)
    os.killpg(process.pid, sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert not ready.files("runs"), "a training that was stopped is no complete one"
    kept = epochs_kept(ready)
    assert kept < EPOCHS, errors
    ready.hourglass("train", "digits", "denoising")
    assert new_epochs(ready) == EPOCHS - kept
    assert_same_outcome(ready, undisturbed)
    assert_one_whole_row(ready)


def test_a_training_killed_after_its_end_is_not_repeated(ready, undisturbed):
    """DVC deletes the outputs before it runs a stage again."""
    ready.hourglass("train", "digits", "denoising")
    run_id = (ready / f"{CELL}/tracking/run_id").read_text()
    shutil.rmtree(ready / "runs")
    ready.hourglass("train", "digits", "denoising")
    assert (ready / f"{CELL}/tracking/run_id").read_text() == run_id
    assert_same_outcome(ready, undisturbed)
    assert_one_whole_row(ready)


def test_a_training_that_stopped_early_does_not_go_on_after_its_end(ready):
    ready.set("configs/data/digits.yaml", "training", "patience", value=1)
    ready.set("configs/model/denoising.yaml", "init_args", "learning_rate", value=0.05)
    ready.hourglass("train", "digits", "denoising")
    before = (ready / f"{CELL}/train/history.csv").read_bytes()
    assert before.count(b"\n") < EPOCHS, "it did not stop early, so nothing is shown"
    shutil.rmtree(ready / "runs")
    ready.hourglass("train", "digits", "denoising")
    assert (ready / f"{CELL}/train/history.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("path", "keys", "value"),
    [
        ("configs/model/denoising.yaml", ("init_args", "noise_factor"), 0.1),
        ("configs/data/digits.yaml", ("training", "max_epochs"), 12),
        ("params.yaml", ("seed",), 1),
    ],
    ids=["noise_factor", "max_epochs", "seed"],
)
def test_a_training_with_a_changed_setting_begins_anew(ready, path, keys, value):
    kill_after(ready, 5)
    ready.set("configs/data/digits.yaml", "training", "max_epochs", value=12)
    ready.set(path, *keys, value=value)
    ready.hourglass("train", "digits", "denoising")
    assert new_epochs(ready) == 12
    *abandoned, finished = rows(ready.folder)  # killed before MLflow was imported, it has no run
    assert finished.steps["train_loss"] == list(range(12))
    assert finished.status == "FINISHED"
    assert [row.status for row in abandoned] == ["KILLED"] * len(abandoned)


def test_a_training_with_changed_code_begins_anew(ready):
    kill_after(ready, 5)
    path = ready / "src/hourglass/networks/base.py"
    path.write_text(path.read_text() + "\n# another line\n")
    ready.hourglass("train", "digits", "denoising")
    assert new_epochs(ready) == EPOCHS


def test_a_changed_trainer_that_changes_no_result_is_a_new_training_too(ready):
    """`log_every_n_steps` and the like are settings: the row in MLflow must say which they were."""
    kill_after(ready, 5)
    ready.set("configs/trainer/cpu.yaml", "log_every_n_steps", value=7)
    ready.hourglass("train", "digits", "denoising")
    row = rows(ready.folder)[-1]
    assert row.params["trainer.log_every_n_steps"] == "7"


def test_a_checkpoint_cut_short_does_not_stop_the_next_training(ready, undisturbed):
    """A disk may have been full, a machine switched off."""
    kill_after(ready, 5)
    path = ready / f"{KEPT}/last.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    ready.hourglass("train", "digits", "denoising")
    assert_same_outcome(ready, undisturbed)


def test_dvc_repro_goes_on_after_a_kill(ready, undisturbed):
    ready.commit()
    process = ready.start("dvc", "repro", "train")
    wait_until(lambda: epochs_kept(ready) >= 10, process)
    kill(process)
    time.sleep(0.5)
    kept = epochs_kept(ready)
    assert kept < EPOCHS, "the kill came too late to show anything"
    ready.run("dvc", "repro", "train")
    assert new_epochs(ready) == EPOCHS - kept
    assert_same_outcome(ready, undisturbed)
    assert_one_whole_row(ready)


@pytest.mark.parametrize("verb", ["calibrate-threshold", "evaluate"])
def test_a_killed_stage_leaves_no_half_written_file(ready, verb, tmp_path):
    """At whatever moment it is killed: what is there is whole, as the same files are elsewhere."""
    ready.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    ready.hourglass("train", "digits", "denoising")
    ready.hourglass("calibrate-threshold", "digits", "denoising")
    whole = Project(Path(shutil.copytree(ready.folder, tmp_path / "whole")))
    whole.hourglass("evaluate", "digits", "denoising")
    if verb == "calibrate-threshold":
        shutil.rmtree(ready / f"{CELL}/calibrate")
    begun = time.monotonic()
    whole.hourglass(verb, "digits", "denoising")
    seconds = time.monotonic() - begun
    for share in (0.75, 0.9):
        process = ready.start("python", "src/hourglass", verb, "digits", "denoising")
        time.sleep(share * seconds)
        kill(process)
        for path in (ready / CELL).rglob("*"):
            expected = whole / str(path.relative_to(ready.folder))
            unfinished = any(part.startswith(".") for part in path.relative_to(ready / CELL).parts)
            if path.is_file() and not unfinished and path.parent.name != "tracking":
                assert path.read_bytes() == expected.read_bytes(), path
    ready.hourglass(verb, "digits", "denoising")
    assert not list((ready / CELL).rglob(".*")), "what a kill left is still there"
