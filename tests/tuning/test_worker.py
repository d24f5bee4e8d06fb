"""Trials and workers: the trainings that a study runs, failures, and resumption."""

import math
import shutil
from dataclasses import replace
from itertools import cycle

import optuna
import pytest
import torch
from sqlalchemy.exc import OperationalError

from hourglass.data.prepared_data import Prepared
from hourglass.detection.scorers import ModelScore
from hourglass.networks.weights import load
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from hourglass.tuning import worker
from hourglass.tuning.best_trial import describe, find_best
from hourglass.tuning.objectives import Detection, Task
from hourglass.tuning.storage import open_storage
from hourglass.tuning.trial_attributes import FAILURE, HISTORY, VALUES
from hourglass.tuning.worker import work
from tests.tuning.studies import CELL, JOB, run_study, states
from tests.workspaces import VARIANTS, set_yaml

OBJECTIVES = ("detection", "average_precision", "synthetic", "denoising", "features")


def test_a_study_has_the_requested_trials_and_starts_with_the_settings_of_the_cell(folder):
    shutil.rmtree(CELL.prepared / "test")  # no trial reads it
    study = run_study(trials=3)
    assert states(study) == ["COMPLETE"] * 3
    assert study.trials[0].user_attrs[VALUES] == {"latent_dim": 8, "noise_factor": 0.3}
    assert len(run_study(trials=3).trials) == 3
    assert len({tuple(trial.params.values()) for trial in run_study(trials=5).trials}) == 5


@pytest.mark.slow
def test_a_resumed_study_equals_one_that_never_stopped(folder):
    def results(study: optuna.Study) -> list[tuple]:
        return [(trial.params, trial.value) for trial in study.trials]

    uninterrupted = results(run_study(trials=4))
    (folder / "optuna.db").unlink()
    run_study(trials=2)
    assert results(run_study(trials=4)) == uninterrupted


def test_a_trial_trains_as_stage_train_does(folder, recorder):
    (trial,) = run_study(trials=1).trials
    train("digits", "denoising")
    task = Task(Prepared.open(CELL.prepared), ModelScore())
    assert Detection()(load(CELL.output("train")), task) == (trial.value,)
    rows = (CELL / "train/history.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [float(row.split(",")[2]) for row in rows] == [
        row["validation_error"] for row in trial.user_attrs[HISTORY]
    ]


@pytest.mark.parametrize(("model", "objective"), list(zip(VARIANTS, cycle(OBJECTIVES))))
def test_every_variant_and_every_objective_can_be_tuned(folder, model, objective):
    set_yaml(folder / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    set_yaml(folder / "configs/model/stacked.yaml", "init_args", "pretrain_epochs", value=1)
    assert math.isfinite(run_study(model=model, objective=objective, trials=1).best_value)


def test_a_pareto_study_has_a_front_and_a_knee(folder):
    study = run_study(objective="pareto", trials=4)
    best = find_best(study)
    assert best
    assert best.trial in best.front
    sizes = {trial.user_attrs[VALUES]["latent_dim"] for trial in study.trials}
    assert {trial.values[1] for trial in study.trials} == sizes
    assert "knee" in describe(study, ("reconstruction_error", "code_size"))


def test_an_unlabelled_table_is_tuned_with_synthetic_anomalies(folder, refusal):
    (folder / "data/own").mkdir()
    rows = "\n".join(f"{i % 7},{(i * i) % 11},{i % 3}" for i in range(300))
    (folder / "data/own/pumps.csv").write_text(f"a,b,c\n{rows}\n", encoding="utf-8")
    config = folder / "configs/data/pumps.yaml"
    set_yaml(config, "class_path", value="hourglass.data.table.Table")
    set_yaml(config, "init_args", value={"path": "data/own/pumps.csv"})
    set_yaml(config, "model", value={"latent_dim": 2, "hidden": [4]})
    set_yaml(config, "training", value={"batch_size": 32, "max_epochs": 1, "patience": 1})
    prepare("pumps")
    assert "synthetic" in refusal(work, replace(JOB, data="pumps", model="linear", trials=1))
    assert 0 <= run_study(data="pumps", objective="synthetic", trials=1).best_value <= 1


@pytest.mark.parametrize(
    ("file", "keys", "value", "word"),
    [
        ("configs/tune/space/default.yaml", ("latent_dim", "low"), 0, "latent_dim"),
        ("configs/trainer/cpu.yaml", ("num_nodes",), 2, "HOURGLASS_OPTUNA_STORAGE"),
        ("configs/trainer/cpu.yaml", ("gradient_clip_algorithm",), "nonsense", "trainer"),
        ("configs/trainer/cpu.yaml", ("accelerator",), "cuda", "trainer"),
    ],
)
def test_invalid_settings_are_rejected_before_the_study_is_created(
    folder, refusal, file, keys, value, word
):
    if value == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    set_yaml(folder / file, *keys, value=value)
    assert word in refusal(work, JOB)
    assert optuna.study.get_all_study_names(open_storage()) == []


def test_a_trial_that_diverges_fails_and_the_study_continues(folder):
    space = folder / "configs/tune/space/absurd.yaml"
    set_yaml(space, "learning_rate", "choices", value=[0.01, 1e30, 1e31])
    study = run_study(space="absurd", trials=6)
    assert len(study.trials) == 6
    diverged = {trial.params["learning_rate"] != "0.01": trial for trial in study.trials}
    assert diverged[False].state.name == "COMPLETE"
    assert "learning_rate" in diverged[True].user_attrs[FAILURE]
    assert f"{states(study).count('FAIL')} failed" in describe(study, ["tuning_AUROC"])


def test_a_bug_is_raised_and_does_not_block_the_study(folder, monkeypatch):
    def broken(*_):
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(Detection, "__call__", broken)
        with pytest.raises(RuntimeError, match="broken"):
            run_study(trials=2)
    assert states(run_study(trials=2)) == ["FAIL", "COMPLETE"]


def lose_connection(study: optuna.Study) -> None:
    raise OperationalError("", {}, Exception("gone"))


def take_over(study: optuna.Study) -> None:
    """Fail the running trial, as another worker does after the grace period."""
    study.tell(study.trials[-1].number, state=optuna.trial.TrialState.FAIL)


@pytest.mark.parametrize("interrupt", [lose_connection, take_over])
def test_a_worker_continues_after_an_interrupted_trial(folder, monkeypatch, interrupt):
    evaluate, interrupted = Detection.__call__, []

    def disturbed(objective, network, task):
        if not interrupted:
            interrupted.append(True)
            interrupt(optuna.load_study(study_name=JOB.study, storage=open_storage()))
        return evaluate(objective, network, task)

    monkeypatch.setattr(Detection, "__call__", disturbed)
    work(JOB)
    study = optuna.load_study(study_name=JOB.study, storage=open_storage())
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert FAILURE not in study.trials[0].user_attrs
    retried = study.trials[1].params == study.trials[0].params
    assert retried == (interrupt is lose_connection)


def test_pruned_trials_count_and_are_never_the_best(folder, monkeypatch):
    set_yaml(folder / "configs/data/digits.yaml", "training", "max_epochs", value=20)
    monkeypatch.setattr(worker, "_pruner", lambda *_: optuna.pruners.ThresholdPruner(lower=2))
    study = run_study(trials=2)
    assert states(study) == ["PRUNED"] * 2
    assert find_best(study) is None
    assert [len(trial.user_attrs[HISTORY]) for trial in study.trials] == [2, 2]
    assert [list(trial.intermediate_values) for trial in study.trials] == [[2], [2]]


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_pruners_stop_trials_that_fall_behind(folder, pruner):
    set_yaml(folder / "configs/data/digits.yaml", "training", "max_epochs", value=10)
    study = run_study(trials=10, pruner=pruner)
    assert {"PRUNED", "COMPLETE"} <= set(states(study))
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    assert max(len(trial.user_attrs[HISTORY]) for trial in pruned) < 10
