"""Two processes train like one: one MLflow run, the same files, the same quality."""

import os
import signal
from pathlib import Path
from typing import Any

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
from tests.tracking.stored import TRAINING_CURVES, rows
from tests.workspaces import (
    PATIENT,
    VARIANTS,
    Project,
    kill,
    living_in,
    wait_for_end,
    wait_until,
    working_in,
)

pytestmark = pytest.mark.slow

EPOCHS = 15
TWO = {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}
TORCHRUN = ("torchrun", "--standalone", "--nproc-per-node", "2")
PLAIN = ("python", "src/hourglass")
MODELS = ("denoising", "convolutional")


def set_up(project: Project, processes: int) -> Project:
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=EPOCHS)
    if processes == 2:
        for key, value in TWO.items():
            project.set("configs/trainer/two.yaml", key, value=value)
        project.set("params.yaml", "trainer", value="two")
    project.hourglass("prepare", "digits")
    return project


def run(project: Project, *command: str, **variables: str) -> None:
    """Run a command to its end, and assert that it leaves no process behind."""
    process = project.start(*command, **variables)
    try:
        _, errors = process.communicate(timeout=PATIENT)
        assert process.returncode == 0, errors
        assert errors == ""
        assert living_in(project.folder) == []
    finally:
        for left in living_in(project.folder):
            left.kill()


@pytest.fixture(scope="module")
def two(new_project) -> Project:
    """Give a workspace in which two processes trained two variants."""
    project = set_up(new_project(), 2)
    for model in MODELS:
        run(project, "python", "src/hourglass", "train", "digits", model)
    return project


@pytest.mark.parametrize("model", MODELS)
def test_two_processes_are_one_mlflow_run(two, model):
    (row,) = (row for row in rows(two.folder) if row.name == f"digits-{model}")
    assert row.status == "FINISHED"
    assert row.params["trainer.devices"] == "2"
    for name in TRAINING_CURVES:
        assert row.steps[name] == list(range(EPOCHS))


@pytest.mark.parametrize("model", MODELS)
def test_two_processes_write_the_same_files_as_one(two, model):
    folder = two / f"runs/digits/{model}"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert names >= {
        "train/weights.safetensors",
        "train/network.json",
        "train/settings.yaml",
        "train/history.csv",
        "train/training.json",
        "tracking/run_id",
    }
    assert pd.read_csv(folder / "train/history.csv").epoch.tolist() == list(range(EPOCHS))


def set_up_uneven(project: Project) -> Project:
    """Make two processes train on batches that halve unevenly."""
    set_up(project, 2)
    project.set("configs/data/digits.yaml", "training", "batch_size", value=37)
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=3)
    project.set("configs/data/digits.yaml", "model", "schedule", value="constant")
    return project


@pytest.fixture(scope="module")
def uneven(new_project) -> Project:
    """Give a workspace of such a training."""
    project = set_up_uneven(new_project())
    run(project, *PLAIN, "train", "digits", "undercomplete")
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
        settings = resolve_cell(Cell("digits", "undercomplete"), (1, 8, 8))
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


@pytest.mark.parametrize("launcher", [(), TORCHRUN], ids=["lightning", "torchrun"])
@pytest.mark.parametrize("model", sorted({*VARIANTS} - {*MODELS}))
def test_two_processes_train_every_variant(new_project, model, launcher):
    if launcher and model != "stacked":
        pytest.skip("only a stack has several trainings to start")
    errors = []
    for processes in (1, 2):
        project = set_up(new_project(), processes)
        project.set("configs/data/digits.yaml", "training", "max_epochs", value=3)
        project.set("configs/model/stacked.yaml", "init_args", "pretrain_epochs", value=2)
        command = (*launcher, "src/hourglass") if processes == 2 and launcher else PLAIN
        run(project, *command, "train", "digits", model)
        history = pd.read_csv(project / f"runs/digits/{model}/train/history.csv")
        errors.append(history.validation_error.iloc[-1])
    (row,) = rows(project.folder)
    assert row.status == "FINISHED"
    for name in TRAINING_CURVES:
        assert row.steps[name] == list(range(3))
    if model == "stacked":
        for layer in (1, 2, 3):
            assert row.steps[f"layer_{layer}_validation_error"] == [0, 1]
    # Each process draws noise of its own, so both are close and not equal.
    assert errors[1] == pytest.approx(errors[0], rel=0.1)


def test_two_processes_give_the_same_weights_twice(two, new_project):
    again = set_up(new_project(), 2)
    run(again, "python", "src/hourglass", "train", "digits", "denoising")
    path = "runs/digits/denoising/train/weights.safetensors"
    assert (again / path).read_bytes() == (two / path).read_bytes()


@pytest.mark.parametrize(
    "command",
    [("hourglass",), ("python", "-m", "hourglass")],
    ids=["console script", "module"],
)
def test_two_processes_start_by_every_name_of_the_program(new_project, command):
    project = set_up(new_project(), 2)
    source = str(project / "src")
    run(project, *command, "train", "digits", "linear", PYTHONPATH=source)
    assert [row.status for row in rows(project.folder)] == ["FINISHED"]


def test_torchrun_is_one_mlflow_run_with_the_same_weights(uneven, new_project):
    project = set_up_uneven(new_project())
    run(project, "scripts/torchrun.sh", "2", "digits", "undercomplete")
    (row,) = rows(project.folder)
    assert row.status == "FINISHED"
    assert row.steps["train_loss"] == list(range(3))
    path = "runs/digits/undercomplete/train/weights.safetensors"
    assert (project / path).read_bytes() == (uneven / path).read_bytes()
    for command in ("calibrate-threshold", "evaluate"):
        project.hourglass(command, "digits", "undercomplete")
    assert len(rows(project.folder)) == 1


def test_torchrun_keeps_the_token_of_rank_zero(new_project):
    """Otherwise a killed training could not find its run."""
    project = set_up(new_project(), 2)
    tokens, recorded = set(), set()
    for _ in range(3):  # which process is the faster one differs
        run(project, *TORCHRUN, "src/hourglass", "train", "digits", "linear")
        tokens.add(project.read("checkpoints/digits-linear/state.json")["token"])
        recorded |= {row.tags["hourglass.training"] for row in rows(project.folder)}
        project.run("rm", "-r", "checkpoints", "runs")
    assert tokens == recorded


def epochs_kept(project: Project) -> int:
    path = project / "checkpoints/digits-denoising/last.ckpt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    return len(state["callbacks"]["History"]["rows"])


@pytest.mark.parametrize("launcher", [(), TORCHRUN], ids=["lightning", "torchrun"])
def test_two_processes_resume_after_a_kill(new_project, launcher):
    command = (*(launcher or ("python",)), "src/hourglass", "train", "digits", "denoising")
    whole, killed = (set_up(new_project(), 2) for _ in range(2))
    run(whole, *command)
    process = killed.start(*command)
    wait_until(lambda: epochs_kept(killed) >= 1, process)
    kill(process)
    wait_for_end(killed.folder)
    kept = epochs_kept(killed)
    assert kept < EPOCHS, "the kill came too late to show anything"
    run(killed, *command)
    timing = killed.read("runs/digits/denoising/tracking/train.json")
    assert round(timing["seconds"] * timing["samples_per_second"] / 722) == EPOCHS - kept
    path = "runs/digits/denoising/train/weights.safetensors"
    assert (killed / path).read_bytes() == (whole / path).read_bytes()
    assert [row.status for row in rows(killed.folder)] == ["FINISHED"]


def test_a_last_batch_may_have_fewer_samples_than_processes(new_project):
    """722 = 7 * 103 + 1: one process gets nothing of the last batch."""
    project = set_up(new_project(), 2)
    project.set("configs/data/digits.yaml", "training", "batch_size", value=103)
    run(project, "python", "src/hourglass", "train", "digits", "linear")
    history = pd.read_csv(project / "runs/digits/linear/train/history.csv")
    assert history.notna().all(axis=None)


@pytest.mark.parametrize("launcher", [(), TORCHRUN], ids=["lightning", "torchrun"])
def test_a_refused_training_ends_both_processes_and_writes_nothing(new_project, launcher):
    project = set_up(new_project(), 2)
    project.set("configs/model/linear.yaml", "init_args", "learning_rate", value=1e30)
    command = (*(launcher or ("python",)), "src/hourglass", "train", "digits", "linear")
    process = project.start(*command)
    _, errors = process.communicate(timeout=PATIENT)
    wait_for_end(project.folder)
    assert process.returncode != 0
    sentences = [line for line in errors.splitlines() if line.startswith("hourglass: ")]
    assert sentences
    assert "learning_rate" in sentences[0]
    assert project.files("runs") == []
    assert [row.status for row in rows(project.folder)] == ["FAILED"]
    if not launcher:
        assert "Traceback" not in errors
        assert len(sentences) == 1


def test_if_one_process_dies_the_other_ends(new_project):
    project = set_up(new_project(), 2)
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=100_000)
    project.set("configs/data/digits.yaml", "training", "patience", value=100_000)
    process = project.start("python", "src/hourglass", "train", "digits", "denoising")
    try:
        wait_until(lambda: epochs_kept(project) >= 2, process)
        (other,) = other_ranks(project)
        other.kill()
        process.communicate(timeout=120)
        assert process.returncode != 0
        wait_for_end(project.folder)
    finally:
        for left in living_in(project.folder):
            left.kill()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_two_processes_end_on_a_signal(new_project, sent):
    project = set_up(new_project(), 2)
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=100_000)
    project.set("configs/data/digits.yaml", "training", "patience", value=100_000)
    process = project.start("python", "src/hourglass", "train", "digits", "denoising")
    try:
        wait_until(lambda: epochs_kept(project) >= 2, process)
        os.killpg(process.pid, sent)
        process.communicate(timeout=120)
        assert process.returncode != 0
        wait_for_end(project.folder)
    finally:
        for left in living_in(project.folder):
            left.kill()


def other_ranks(project: Project) -> list[Any]:
    return [each for each in living_in(project.folder) if each.environ().get("LOCAL_RANK") == "1"]
