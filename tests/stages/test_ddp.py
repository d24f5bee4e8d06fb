"""Two processes train like one: one MLflow run, the same files, the same quality."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from hourglass.core.paths import Cell
from hourglass.data.batches import Shares
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.detection.scoring import errors
from hourglass.training.cell_settings import resolve_cell
from hourglass.training.trainer import make_module
from tests.stages.cells import epochs_kept, new_epochs
from tests.tracking.stored import TRAINING_CURVES, rows
from tests.workspaces import (
    TIMEOUT_SECONDS,
    VARIANTS,
    Project,
    kill,
    processes_in,
    wait_for_end,
    wait_until,
    without_progress,
    working_in,
)

pytestmark = pytest.mark.slow

EPOCHS = 15
TWO = {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}
PLAIN = ("python", "src/hourglass")
TORCHRUN = ("torchrun", "--standalone", "--nproc-per-node", "2", "src/hourglass")
MODELS = ("denoising", "convolutional")
by_every_launcher = pytest.mark.parametrize(
    "launcher", [PLAIN, TORCHRUN], ids=["lightning", "torchrun"]
)


def set_up(project: Project, processes: int = 2, **training: int) -> Project:
    """Prepare digits for trainings of so many processes."""
    for key, value in {"max_epochs": EPOCHS, **training}.items():
        project.set("configs/data/digits.yaml", "training", key, value=value)
    if processes == 2:
        for key, setting in TWO.items():
            project.set("configs/trainer/two.yaml", key, value=setting)
        project.set("params.yaml", "trainer", value="two")
    project.hourglass("prepare", "digits")
    return project


def run(project: Project, *command: str, **variables: str) -> None:
    """Run a command to its end, and assert that it leaves no process behind."""
    process = project.start(*command, **variables)
    try:
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
        assert process.returncode == 0, errors
        assert without_progress(errors) == []
        assert processes_in(project.folder) == []
    finally:
        for left in processes_in(project.folder):
            left.kill()


def train(project: Project, model: str, launcher: tuple[str, ...] = PLAIN) -> Path:
    """Train a variant and return the folder of its cell."""
    run(project, *launcher, "train", "digits", model)
    return project / f"runs/digits/{model}"


def weights_of(project: Project, model: str) -> bytes:
    return (project / f"runs/digits/{model}/train/weights.safetensors").read_bytes()


def history_of(project: Project, model: str) -> pd.DataFrame:
    return pd.read_csv(project / f"runs/digits/{model}/train/history.csv")


@pytest.fixture(scope="module")
def two(new_project) -> Project:
    """Give a workspace in which two processes trained two variants."""
    project = set_up(new_project())
    for model in MODELS:
        train(project, model)
    return project


@pytest.mark.parametrize("model", MODELS)
def test_two_processes_are_one_mlflow_run_and_write_the_files_of_one(two, model):
    (row,) = (row for row in rows(two.folder) if row.name == f"digits-{model}")
    assert row.status == "FINISHED"
    assert row.params["trainer.devices"] == "2"
    for name in TRAINING_CURVES:
        assert row.steps[name] == list(range(EPOCHS))
    folder = two / f"runs/digits/{model}"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    files = ("weights.safetensors", "network.json", "settings.yaml", "history.csv", "training.json")
    assert names >= {"tracking/run_id", *(f"train/{file}" for file in files)}
    assert history_of(two, model).epoch.tolist() == list(range(EPOCHS))


def set_up_uneven(project: Project) -> Project:
    """Make two processes train on batches that halve unevenly."""
    set_up(project, batch_size=37, max_epochs=3)
    project.set("configs/data/digits.yaml", "model", "schedule", value="constant")
    return project


@pytest.fixture(scope="module")
def uneven(new_project) -> Project:
    """Give a workspace of such a training."""
    project = set_up_uneven(new_project())
    train(project, "undercomplete")
    return project


def interleaved(n: int, seed: int) -> torch.Tensor:
    """Return the rows of an epoch of two ranks that hold every second row, position by position."""
    order = torch.empty(n, dtype=torch.int64)
    for rank in range(2):
        order[rank::2] = Shares(n, 1, rank, 2).order(seed) * 2 + rank
    return order


@pytest.fixture(scope="module")
def plain(uneven) -> tuple[torch.nn.Module, list[tuple[float, float]]]:
    """Give the network of a plain loop over all samples, its losses and its validation errors."""
    with working_in(uneven.folder):
        settings = resolve_cell(Cell("digits", "undercomplete"), (1, 8, 8), 700)
        module = make_module(settings)
        prepared = Prepared.open(Path("data/prepared/digits"))
        x, validation = (
            torch.from_numpy(prepared.scaling(np.array(prepared.x(name))))
            for name in ("train", "validation")
        )
    network, history = module.network, []
    optimizer = torch.optim.Adam(network.parameters(), module.learning_rate)
    for epoch in range(settings.training.max_epochs):
        losses = []
        for batch in interleaved(len(x), settings.seed * 1_000_003 + epoch).split(37):
            loss = functional.mse_loss(network(x[batch]), x[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            error = functional.mse_loss(network(validation), validation).item()
        history.append((float(np.mean(losses)), error))
    return network, history


def test_two_processes_train_the_weights_of_a_plain_loop_over_all_samples(uneven, plain):
    """Shares of 18 and 19 samples, and a last batch of few: every sample weighs the same."""
    network, history = plain
    found = load_file(uneven / "runs/digits/undercomplete/train/weights.safetensors")
    torch.testing.assert_close(network.state_dict(), found, rtol=1e-4, atol=1e-5)
    rows = pd.read_csv(uneven / "runs/digits/undercomplete/train/history.csv")
    np.testing.assert_allclose(rows[["train_loss", "validation_error"]], history, rtol=1e-5)


def test_a_training_of_two_processes_is_calibrated_and_evaluated_on_all_samples(uneven, plain):
    for command in ("calibrate-threshold", "evaluate"):
        uneven.hourglass(command, "digits", "undercomplete")
    folder = uneven / "runs/digits/undercomplete"
    scores = pd.read_parquet(folder / "evaluate/scores.parquet")
    splits = uneven.read("data/prepared/digits/card.json")["splits"]
    for name in SPLITS[1:]:
        rows = scores[scores.split == name]
        assert len(rows) == splits[name]["normal"] + splits[name]["anomalies"]
    assert uneven.read(f"{folder}/calibrate/threshold.json")["n"] == splits["calibration"]["normal"]
    prepared = Prepared.open(uneven / "data/prepared/digits")
    test = prepared.split("test")
    expected = roc_auc_score(test.anomaly, errors(plain[0].eval(), test.x, prepared.scaling))
    assert uneven.read(f"{folder}/evaluate/metrics.json")["AUROC"] == pytest.approx(
        expected, abs=1e-3
    )


@by_every_launcher
@pytest.mark.parametrize("model", sorted({*VARIANTS} - {*MODELS}))
def test_two_processes_train_every_variant(new_project, model, launcher):
    if launcher == TORCHRUN and model != "stacked":
        pytest.skip("only a stack has several trainings to start")
    errors = []
    for processes in (1, 2):
        project = set_up(new_project(), processes, max_epochs=3)
        project.set("configs/model/stacked.yaml", "init_args", "pretrain_epochs", value=2)
        train(project, model, launcher if processes == 2 else PLAIN)
        errors.append(history_of(project, model).validation_error.iloc[-1])
    (row,) = rows(project.folder)
    assert row.status == "FINISHED"
    for name in TRAINING_CURVES:
        assert row.steps[name] == list(range(1 if model == "linear" else 3))
    if model == "stacked":
        for layer in (1, 2, 3):
            assert row.steps[f"training/layer_{layer}_validation_error"] == [0, 1]
    # Each process draws noise of its own, so both are close and not equal.
    assert errors[1] == pytest.approx(errors[0], rel=0.1)


@pytest.mark.parametrize(
    "command", [("hourglass",), ("python", "-m", "hourglass")], ids=["console script", "module"]
)
def test_two_processes_started_by_another_name_give_the_same_weights(two, new_project, command):
    project = set_up(new_project())
    run(project, *command, "train", "digits", "denoising", PYTHONPATH=str(project / "src"))
    assert [row.status for row in rows(project.folder)] == ["FINISHED"]
    assert weights_of(project, "denoising") == weights_of(two, "denoising")


def test_torchrun_is_one_mlflow_run_with_the_same_weights(uneven, new_project):
    project = set_up_uneven(new_project())
    run(project, "scripts/torchrun.sh", "2", "digits", "undercomplete")
    (row,) = rows(project.folder)
    assert row.status == "FINISHED"
    assert row.steps["training/train_loss"] == list(range(3))
    assert weights_of(project, "undercomplete") == weights_of(uneven, "undercomplete")
    for command in ("calibrate-threshold", "evaluate"):
        project.hourglass(command, "digits", "undercomplete")
    assert len(rows(project.folder)) == 1


def test_torchrun_keeps_the_token_of_rank_zero(new_project):
    """Otherwise a killed training could not find its run."""
    project = set_up(new_project())
    tokens, recorded = set(), set()
    for _ in range(3):  # which process is the faster one differs
        train(project, "linear", TORCHRUN)
        tokens.add(project.read("checkpoints/digits-linear/state.json")["token"])
        recorded |= {row.tags["hourglass.training"] for row in rows(project.folder)}
        project.run("rm", "-r", "checkpoints", "runs")
    assert tokens == recorded


@by_every_launcher
def test_two_processes_resume_after_a_kill(new_project, launcher):
    complete, killed = (set_up(new_project()) for _ in range(2))
    train(complete, "denoising", launcher)
    process = killed.start(*launcher, "train", "digits", "denoising")
    wait_until(lambda: epochs_kept(killed) >= 1, process)
    kill(process)
    wait_for_end(killed.folder)
    kept = epochs_kept(killed)
    assert kept < EPOCHS, "the kill came too late to show anything"
    train(killed, "denoising", launcher)
    assert new_epochs(killed) == EPOCHS - kept
    assert weights_of(killed, "denoising") == weights_of(complete, "denoising")
    assert [row.status for row in rows(killed.folder)] == ["FINISHED"]


def test_a_last_batch_may_have_fewer_samples_than_processes(new_project):
    """722 = 7 * 103 + 1: one process gets nothing of the last batch."""
    project = set_up(new_project(), batch_size=103)
    train(project, "undercomplete")
    assert history_of(project, "undercomplete").notna().all(axis=None)


def test_linear_is_pca_of_the_samples_of_both_processes(new_project):
    both, one = set_up(new_project()), set_up(new_project(), processes=1)
    for project in (both, one):
        train(project, "linear")
    weights = [
        load_file(folder / "runs/digits/linear/train/weights.safetensors")
        for folder in (both.folder, one.folder)
    ]
    torch.testing.assert_close(*weights)


@by_every_launcher
def test_a_refused_training_ends_both_processes_and_writes_nothing(new_project, launcher):
    project = set_up(new_project())
    project.set("configs/model/denoising.yaml", "init_args", "learning_rate", value=1e30)
    process = project.start(*launcher, "train", "digits", "denoising")
    _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    wait_for_end(project.folder)
    assert process.returncode != 0
    sentences = [line for line in errors.splitlines() if line.startswith("hourglass: ")]
    assert sentences
    assert "learning_rate" in sentences[0]
    assert project.files("runs") == []
    assert [row.status for row in rows(project.folder)] == ["FAILED"]
    if launcher == PLAIN:
        assert "Traceback" not in errors
        assert len(sentences) == 1


@pytest.fixture
def endless(new_project) -> Iterator[tuple[Project, Popen[str]]]:
    """Give a training of two processes that does not end; leave none of its processes."""
    project = set_up(new_project(), max_epochs=100_000, patience=100_000)
    process = project.start(*PLAIN, "train", "digits", "denoising")
    try:
        wait_until(lambda: epochs_kept(project) >= 2, process)
        yield project, process
    finally:
        for left in processes_in(project.folder):
            left.kill()


def kill_other_rank(project: Project, process: Popen[str]) -> None:
    (other,) = (p for p in processes_in(project.folder) if p.environ().get("LOCAL_RANK") == "1")
    other.kill()


@pytest.mark.parametrize(
    "end",
    [
        kill_other_rank,
        lambda project, process: os.killpg(process.pid, signal.SIGTERM),
        lambda project, process: os.killpg(process.pid, signal.SIGINT),
    ],
    ids=["death of a rank", "TERM", "INT"],
)
def test_both_processes_end_together(endless, end: Callable[[Project, Popen[str]], None]):
    project, process = endless
    end(project, process)
    process.communicate(timeout=120)
    assert process.returncode != 0
    wait_for_end(project.folder)
