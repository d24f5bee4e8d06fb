"""A training killed with `kill -9` goes on, and ends as an undisturbed one does."""

import os
import shutil
import signal
from subprocess import Popen

import pandas as pd
import pytest

from tests.stages.cells import epochs_kept, new_epochs
from tests.tracking.stored import TRAINING_CURVES, rows
from tests.workspaces import Project, children, kill, wait_for_end, wait_until

pytestmark = pytest.mark.slow

EPOCHS = 400  # a few seconds
CELL = "runs/digits/denoising"  # its noise is drawn in every step
CODE = "src/hourglass/training/checkpoints.py"
CHECKPOINTS = "checkpoints/digits-denoising"
TRAIN = ("python", "src/hourglass", "train", "digits", "denoising")


def set_up(project: Project) -> Project:
    """Make a training long enough to be killed in the middle."""
    training = {"batch_size": 8, "max_epochs": EPOCHS, "patience": EPOCHS}
    project.set("configs/data/digits.yaml", "training", value=training)
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["denoising"])
    # A fiftieth of the time is one checkpoint in the whole training if the disk is slow.
    path, share = project / CODE, "MAX_WRITING_SHARE = 1 / 50"
    code = path.read_text(encoding="utf-8")
    assert share in code
    path.write_text(code.replace(share, "MAX_WRITING_SHARE = 1 / 2"), encoding="utf-8")
    project.hourglass("prepare", "digits")
    return project


@pytest.fixture(scope="module")
def undisturbed(new_project) -> Project:
    """Give a workspace in which the training ran in one go."""
    project = set_up(new_project())
    project.run(*TRAIN)
    return project


@pytest.fixture
def ready(new_project, undisturbed) -> Project:
    """Give a workspace in which the same training can begin."""
    project: Project = new_project()
    for name in ("configs", "data"):
        shutil.copytree(undisturbed / name, project / name, dirs_exist_ok=True)
    for name in ("params.yaml", CODE):
        shutil.copy(undisturbed / name, project / name)
    return project


def start(project: Project, epochs: int) -> Popen[str]:
    """Start a training, and wait until so many epochs are kept."""
    process = project.start(*TRAIN)
    wait_until(lambda: epochs_kept(project) >= epochs, process)
    return process


def kill_after(project: Project, epochs: int) -> int:
    """Train until so many epochs are kept, kill -9, and return how many are kept then."""
    kill(start(project, epochs))
    return kept_of_unfinished(project)


def kept_of_unfinished(project: Project) -> int:
    kept = epochs_kept(project)
    assert kept < EPOCHS, "the kill came too late to show anything"
    return kept


def resume(project: Project, undisturbed: Project, kept: int | None = None) -> None:
    """Train to the end; compare files and record with those of an undisturbed training.

    If `kept` is given, no more than the other epochs may be trained.
    """
    project.run(*TRAIN)
    assert kept is None or new_epochs(project) == EPOCHS - kept
    assert_same_outcome(project, undisturbed)


def assert_same_outcome(project: Project, undisturbed: Project) -> None:
    for name in ("weights.safetensors", "network.json", "history.csv", "settings.yaml"):
        ours, theirs = (each / f"{CELL}/train/{name}" for each in (project, undisturbed))
        assert ours.read_bytes() == theirs.read_bytes(), name
    (row,) = rows(project.folder)
    assert row.status == "FINISHED"
    assert row.id == (project / f"{CELL}/tracking/run_id").read_text().strip()
    for name in TRAINING_CURVES:
        assert row.steps[name] == list(range(EPOCHS)), name
    history = pd.read_csv(project / f"{CELL}/train/history.csv")
    last = history.validation_error.iloc[-1]
    assert row.metrics["training/validation_error"] == pytest.approx(last, rel=1e-4)


@pytest.mark.parametrize("kills", [(10,), (3, 10, 20)])
def test_a_killed_training_goes_on_and_ends_at_the_same_weights(ready, undisturbed, kills):
    kept = 0
    for epochs in kills:
        kept = kill_after(ready, max(epochs, kept + 1))
    assert not ready.files("runs")
    resume(ready, undisturbed, kept)


def test_a_stack_killed_in_a_phase_goes_on_in_it(new_project):
    outcomes = []
    for killed in (False, True):
        project: Project = new_project()
        training = {"batch_size": 8, "max_epochs": 3, "patience": EPOCHS}
        project.set("configs/data/digits.yaml", "training", value=training)
        project.set("configs/model/stacked.yaml", "init_args", "pretrain_epochs", value=12)
        project.hourglass("prepare", "digits")
        command = (*TRAIN[:-1], "stacked")
        if killed:
            process = project.start(*command)
            wait_until((project / "checkpoints/digits-stacked/layer_2/last.ckpt").exists, process)
            kill(process)
            assert not (project / "checkpoints/digits-stacked/layer_3").exists()
        project.run(*command)
        (row,) = rows(project.folder)
        assert row.status == "FINISHED"
        for layer in (1, 2, 3):
            assert row.steps[f"training/layer_{layer}_train_loss"] == list(range(12))
        folder = project / "runs/digits/stacked/train"
        names = ("weights.safetensors", "history.csv")
        outcomes.append([(folder / name).read_bytes() for name in names])
    assert outcomes[0] == outcomes[1]


def test_a_training_killed_before_its_first_epoch_leaves_one_row(ready, undisturbed):
    process = ready.start(*TRAIN)
    wait_until((ready / f"{CHECKPOINTS}/state.json").exists, process)
    kill(process)
    resume(ready, undisturbed)


def test_epochs_that_were_not_recorded_before_a_kill_are_recorded_later(ready, undisturbed):
    """A slow server, or a busy database: the training is ahead of its record when it is killed."""
    process = start(ready, 5)
    (recorder,) = (child for child in children(process) if "stage_recorder" in str(child.cmdline()))
    recorder.send_signal(signal.SIGSTOP)
    at = epochs_kept(ready)
    wait_until(lambda: epochs_kept(ready) >= at + 5, process)
    kill(process)
    resume(ready, undisturbed, kept_of_unfinished(ready))


def test_only_the_training_process_is_killed(ready, undisturbed):
    """As the kernel does if memory runs out: the recording process ends by itself."""
    process = start(ready, 5)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for_end(ready.folder)
    resume(ready, undisturbed)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_training_stopped_politely_goes_on(ready, undisturbed, sent):
    process = start(ready, 5)
    os.killpg(process.pid, sent)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not ready.files("runs"), "a training that was stopped is no complete one"
    resume(ready, undisturbed, kept_of_unfinished(ready))


def test_a_training_killed_after_its_end_is_not_repeated(ready, undisturbed):
    """DVC deletes the outputs before it runs a stage again."""
    ready.run(*TRAIN)
    run_id = (ready / f"{CELL}/tracking/run_id").read_text()
    shutil.rmtree(ready / "runs")
    resume(ready, undisturbed)
    assert (ready / f"{CELL}/tracking/run_id").read_text() == run_id


def test_a_training_that_stopped_early_does_not_go_on_after_its_end(ready):
    ready.set("configs/data/digits.yaml", "training", "patience", value=1)
    ready.set("configs/model/denoising.yaml", "init_args", "learning_rate", value=0.05)
    ready.run(*TRAIN)
    before = (ready / f"{CELL}/train/history.csv").read_bytes()
    assert before.count(b"\n") < EPOCHS, "it did not stop early, so nothing is shown"
    shutil.rmtree(ready / "runs")
    ready.run(*TRAIN)
    assert (ready / f"{CELL}/train/history.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("path", "keys", "value"),
    [
        ("configs/model/denoising.yaml", ("init_args", "noise_factor"), 0.1),
        ("configs/data/digits.yaml", ("training", "max_epochs"), 12),
        ("params.yaml", ("seed",), 1),
        ("configs/trainer/cpu.yaml", ("log_every_n_steps",), 7),  # which the row must show
        ("src/hourglass/networks/base.py", (), ""),
    ],
    ids=["noise_factor", "max_epochs", "seed", "trainer", "code"],
)
def test_a_training_with_a_changed_setting_or_code_begins_anew(ready, path, keys, value):
    kill_after(ready, 5)
    epochs = value if "max_epochs" in keys else EPOCHS
    if keys:
        ready.set(path, *keys, value=value)
    else:
        (ready / path).write_text((ready / path).read_text() + "\nANOTHER = 1\n")
    ready.run(*TRAIN)
    assert new_epochs(ready) == epochs
    *abandoned, finished = rows(ready.folder)  # killed before MLflow was imported, it has no run
    assert finished.steps["training/train_loss"] == list(range(epochs))
    assert finished.status == "FINISHED"
    assert [row.status for row in abandoned] == ["KILLED"] * len(abandoned)
    if "log_every_n_steps" in keys:
        assert finished.params["trainer.log_every_n_steps"] == "7"


def test_a_checkpoint_cut_short_does_not_stop_the_next_training(ready, undisturbed):
    """A disk may have been full, a machine switched off."""
    kill_after(ready, 5)
    path = ready / f"{CHECKPOINTS}/last.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    resume(ready, undisturbed)
