"""Studies of whole cells: what a trial is, how a study goes on, and what becomes of its winner."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import torch
import yaml

from hourglass.cli.tune import tune
from hourglass.core.paths import Cell
from hourglass.data.prepared import Prepared
from hourglass.detection.scorers import ModelScore
from hourglass.networks.weights import load
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.snapshot import snapshot as cells
from hourglass.stages.train import train
from hourglass.training.cell_settings import resolve_cell
from hourglass.tuning import study as studies
from hourglass.tuning import worker
from hourglass.tuning.apply import apply_values
from hourglass.tuning.attributes import REFUSED, VALUES
from hourglass.tuning.best_trial import facts, find_winner
from hourglass.tuning.objectives import Detection, Task
from hourglass.tuning.storage import open_storage
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trials_table import describe
from hourglass.tuning.worker import work
from hourglass.tuning.worker_job import Job
from tests.workspaces import VARIANTS, set_yaml

CELL = Cell("digits", "denoising")
JOB = Job("digits", "denoising", "detection", "default", 2, "none", 0, "a study", "a-command")


@pytest.fixture
def folder(stage_folder, monkeypatch):
    """Give a working folder with prepared digits, trained for two epochs."""
    monkeypatch.delenv("HOURGLASS_OPTUNA_STORAGE", raising=False)
    prepare("digits")
    return stage_folder


def run(**changes) -> optuna.Study:
    """Work on a study in this process, and return it."""
    job = replace(JOB, **changes)
    job = replace(job, study=job.question.study)
    work(job)
    study = studies.load(job.study, open_storage())
    assert study
    return study


def values(study: optuna.Study) -> list[tuple]:
    return [(trial.params, trial.value) for trial in study.trials]


def test_a_study_has_as_many_trials_as_were_asked_for_and_begins_with_the_cells_own(folder):
    study = run(trials=3)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert study.trials[0].user_attrs[VALUES] == {"latent_dim": 8, "noise_factor": 0.3}
    assert len(run(trials=3).trials) == 3
    assert len({tuple(each.params.values()) for each in run(trials=5).trials}) == 5


@pytest.mark.slow
def test_a_study_that_goes_on_is_the_one_that_never_stopped(folder):
    whole = values(run(trials=4))
    (folder / "optuna.db").unlink()
    run(trials=2)
    assert values(run(trials=4)) == whole


def test_a_trial_trains_what_train_would(folder, recorder):
    (trial,) = run(trials=1).trials
    train("digits", "denoising")
    task = Task(Prepared.open(CELL.prepared), ModelScore())
    assert Detection()(load(CELL.folder), task) == (trial.value,)
    history = trial.user_attrs["history"]
    rows = (CELL / "train/history.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [float(row.split(",")[2]) for row in rows] == [
        each["validation_error"] for each in history
    ]


def test_no_trial_reads_the_test_split(folder):
    shutil.rmtree(CELL.prepared / "test")
    assert len(run(trials=1).trials) == 1


@pytest.mark.parametrize("model", VARIANTS)
def test_every_variant_can_be_tuned(folder, model):
    set_yaml(folder / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    set_yaml(folder / "configs/model/stacked.yaml", "init_args", "pretrain_epochs", value=1)
    assert 0 <= run(model=model, trials=1).best_value <= 1


@pytest.mark.parametrize("objective", ["average_precision", "synthetic", "denoising", "features"])
def test_every_objective_has_a_best_trial(folder, objective):
    study = run(objective=objective, trials=2)
    winner = find_winner(study)
    assert winner
    assert winner.trial.value == max(trial.value for trial in study.trials)


def test_a_pareto_study_has_a_front_and_a_knee(folder):
    study = run(objective="pareto", trials=4)
    winner = find_winner(study)
    assert winner
    assert winner.trial in winner.front
    sizes = {trial.user_attrs[VALUES]["latent_dim"] for trial in study.trials}
    assert {trial.values[1] for trial in study.trials} == sizes
    assert "knee" in describe(study, ("reconstruction_error", "code_size"))


def test_an_unlabelled_table_is_tuned_by_synthetic_anomalies(folder, refusal):
    (folder / "data/own").mkdir()
    rows = "\n".join(f"{i % 7},{(i * i) % 11},{i % 3}" for i in range(300))
    (folder / "data/own/pumps.csv").write_text(f"a,b,c\n{rows}\n", encoding="utf-8")
    config = {
        "class_path": "hourglass.data.table.Table",
        "init_args": {"path": "data/own/pumps.csv"},
        "model": {"latent_dim": 2, "hidden": [4]},
        "training": {"batch_size": 32, "max_epochs": 1, "patience": 1},
    }
    (folder / "configs/data/pumps.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    prepare("pumps")
    job = replace(JOB, data="pumps", model="linear", trials=1)
    assert "synthetic" in refusal(work, job)
    assert (
        0 <= run(data="pumps", model="denoising", objective="synthetic", trials=1).best_value <= 1
    )


def test_a_refused_question_leaves_no_study(folder, refusal):
    set_yaml(folder / "configs/tune/space/default.yaml", "latent_dim", "low", value=0)
    assert "latent_dim" in refusal(work, JOB)
    assert optuna.study.get_all_study_names(open_storage()) == []


def test_the_reconstruction_error_alone_is_refused_for_a_bottleneck(folder, refusal):
    assert "always reconstructs" in refusal(work, replace(JOB, objective="reconstruction_error"))


@pytest.fixture
def diverging(folder) -> optuna.Study:
    """Give a study of three trials whose learning rates are 0.01 once and absurd else."""
    space = {"learning_rate": {"choices": [0.01, 1e30, 1e31]}}
    (folder / "configs/tune/space/absurd.yaml").write_text(yaml.safe_dump(space), encoding="utf-8")
    return run(space="absurd", trials=6)


def test_a_diverged_trial_is_failed_and_the_study_goes_on(diverging):
    states = {trial.params["learning_rate"]: trial.state.name for trial in diverging.trials}
    assert states["0.01"] == "COMPLETE"
    assert "FAIL" in states.values()
    assert len(diverging.trials) == 6
    failed = next(trial for trial in diverging.trials if trial.state.name == "FAIL")
    assert "learning_rate" in failed.user_attrs[REFUSED]
    assert "learning_rate" in facts(failed, ["tuning_AUROC"])["note"]
    assert "fail" in describe(diverging, ["tuning_AUROC"])


def test_a_trainer_of_several_machines_is_refused(folder, refusal):
    set_yaml(folder / "configs/trainer/cpu.yaml", "num_nodes", value=2)
    assert "HOURGLASS_OPTUNA_STORAGE" in refusal(work, JOB)


@pytest.mark.parametrize(
    ("setting", "value"), [("gradient_clip_algorithm", "nonsense"), ("accelerator", "cuda")]
)
def test_a_trainer_that_cannot_be_made_is_refused_before_the_first_trial(
    folder, refusal, setting, value
):
    if value == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    set_yaml(folder / "configs/trainer/cpu.yaml", setting, value=value)
    assert "trainer" in refusal(work, JOB)
    assert optuna.study.get_all_study_names(open_storage()) == []


def test_a_mistake_in_the_code_is_shown_and_does_not_block_the_study(folder, monkeypatch):
    def broken(*_):
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(Detection, "__call__", broken)
        with pytest.raises(RuntimeError, match="broken"):
            run(trials=2)
    study = run(trials=2)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]


def test_a_trial_that_another_worker_has_taken_over_ends_nothing(folder, monkeypatch):
    judge = Detection.__call__

    def taken_over(objective, network, task):
        study = optuna.load_study(study_name="a study", storage=open_storage())
        if not [trial for trial in study.trials if trial.state.name == "FAIL"]:
            study.tell(study.trials[0].number, state=optuna.trial.TrialState.FAIL)
        return judge(objective, network, task)

    monkeypatch.setattr(Detection, "__call__", taken_over)
    work(replace(JOB, trials=2))
    study = optuna.load_study(study_name="a study", storage=open_storage())
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_a_launcher_is_refused(folder, refusal, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "launcher" in refusal(tune, "digits", "denoising")


def test_pruned_trials_count_and_never_win(folder, monkeypatch):
    set_yaml(folder / "configs/data/digits.yaml", "training", "max_epochs", value=20)
    monkeypatch.setattr(worker, "_pruner", lambda *_: optuna.pruners.ThresholdPruner(lower=2))
    study = run(trials=2)
    assert [trial.state.name for trial in study.trials] == ["PRUNED"] * 2
    assert find_winner(study) is None
    assert [len(trial.user_attrs["history"]) for trial in study.trials] == [2, 2]
    known = facts(study.trials[0], ["tuning_AUROC"])
    assert [epoch for epoch, _ in known["curves"]["tuning_AUROC"]] == [2]


@pytest.mark.parametrize("pruner", ["median", pytest.param("hyperband", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_pruners_stop_what_falls_behind(folder, pruner):
    set_yaml(folder / "configs/data/digits.yaml", "training", "max_epochs", value=10)
    study = run(trials=10, pruner=pruner)
    states = [trial.state.name for trial in study.trials]
    assert states.count("PRUNED") > 0
    assert states.count("COMPLETE") > 0
    short = [len(t.user_attrs["history"]) for t in study.trials if t.state.name == "PRUNED"]
    assert max(short) < 10


@pytest.mark.parametrize(
    ("file", "keys", "value", "named"),
    [
        ("params.yaml", ("score",), {"class_path": "hourglass.detection.scorers.RaPP"}, ["score"]),
        ("params.yaml", ("seed",), 1, ["seed"]),
        ("configs/data/digits.yaml", ("training", "max_epochs"), 3, ["training"]),
        ("configs/data/digits.yaml", ("model", "hidden"), [16], ["settings"]),
        ("configs/tune/space/default.yaml", ("latent_dim", "high"), 16, ["space"]),
        ("configs/data/digits.yaml", ("model", "latent_dim"), 4, []),  # it is searched
        ("configs/trainer/cpu.yaml", ("devices",), 2, []),
        ("configs/trainer/cpu.yaml", ("residency",), "stream", []),
        ("configs/trainer/cpu.yaml", ("acceleration",), "none", []),
        ("configs/trainer/cpu.yaml", ("gradient_clip_val",), 0.5, ["trainer"]),
    ],
)
def test_another_question_is_another_study(folder, file, keys, value, named):
    before = StudySpec.of(CELL, "detection", None)
    name, asked = before.study, before.asked
    set_yaml(folder / file, *keys, value=value)
    after = StudySpec.of(CELL, "detection", None)
    assert after.differs(asked) == named
    assert (after.study != name) == bool(named)


def test_what_is_applied_asks_nothing_new(folder, monkeypatch):
    name = StudySpec.of(CELL, "detection", None).study
    set_yaml(CELL.config, "init_args", value={"latent_dim": 3, "noise_factor": 0.1})
    assert StudySpec.of(CELL, "detection", None).study == name


@pytest.fixture
def no_dvc(monkeypatch) -> None:
    """Do without DVC, which wants a repository."""
    monkeypatch.setattr("hourglass.tuning.apply._tell_dvc", lambda: None)


def test_applied_values_change_one_cell_and_keep_comments(folder, no_dvc):
    CELL.config.parent.mkdir(exist_ok=True)
    CELL.config.write_text(
        "# mine\ninit_args:\n  masking: 0.1  # some\n  latent_dim: 3\n", encoding="utf-8"
    )
    cells()
    before = {path.name: path.read_text() for path in (folder / "runs/.cells").glob("*.json")}
    apply_values(CELL, {"latent_dim": 12, "noise_factor": 0.4, "hidden": [24, 16]}, "a study")
    text = CELL.config.read_text(encoding="utf-8")
    assert "# mine" in text
    assert "# some" in text
    assert yaml.safe_load(text) == {
        "init_args": {"masking": 0.1, "latent_dim": 12, "noise_factor": 0.4, "hidden": [24, 16]}
    }
    cells()
    after = {path.name: path.read_text() for path in (folder / "runs/.cells").glob("*.json")}
    assert {name for name in after if after[name] != before[name]} == {"digits-denoising.json"}
    assert resolve_cell(CELL, (1, 8, 8)).init_args["latent_dim"] == 12
    assert resolve_cell(Cell("digits", "undercomplete"), (1, 8, 8)).init_args["latent_dim"] == 8


def test_a_default_is_kept_only_of_the_settings_and_weights_it_was_found_with(
    folder, recorder, no_dvc, capsys
):
    for stage in (train, calibrate_threshold, evaluate):
        stage("digits", "denoising")
    set_yaml(folder / "configs/data/digits.yaml", "model", "hidden", value=[16])
    apply_values(CELL, {"latent_dim": 3}, "a study")
    assert not CELL.default_record.exists()
    assert "other settings" in capsys.readouterr().err


def test_a_cell_outside_the_grid_is_said_to_be_so(folder, no_dvc):
    set_yaml(folder / "params.yaml", "models", value=["linear"])
    assert "grid" in apply_values(CELL, {"latent_dim": 3}, "a study")


def test_an_empty_section_of_a_cells_file_is_filled(folder, no_dvc):
    CELL.config.parent.mkdir(exist_ok=True)
    CELL.config.write_text("init_args:\n", encoding="utf-8")
    apply_values(CELL, {"latent_dim": 3}, "a study")
    assert yaml.safe_load(CELL.config.read_text()) == {"init_args": {"latent_dim": 3}}


def test_a_cells_own_settings_are_checked(folder, refusal):
    set_yaml(CELL.config, "init_args", value={"latent_dims": 3})
    sentence = refusal(resolve_cell, CELL, (1, 8, 8))
    assert "configs/cell/digits-denoising.yaml" in sentence
    assert "latent_dim" in sentence


@pytest.mark.slow
def test_the_leaderboard_shows_a_tuned_cell_beside_its_default(folder, recorder, no_dvc):
    from hourglass.evaluation.report import leaderboard

    def done() -> dict:
        for stage in (train, calibrate_threshold, evaluate):
            stage("digits", "denoising")
        return json.loads((CELL / "evaluate/metrics.json").read_text())

    default = done()
    apply_values(CELL, {"latent_dim": 3}, "a study")
    tuned = done()
    apply_values(CELL, {"latent_dim": 3}, "a later study")  # the default is still the first
    rows = leaderboard._cell_rows(CELL)
    assert [(row["settings"], row["latent_dim"], row["AUROC"]) for row in rows] == [
        ("tuned", 3, tuned["AUROC"]),
        ("before tuning", 8, default["AUROC"]),
    ]
    assert set(leaderboard._row("", "", False, 1, {"method": "", "value": 0}, {})) <= set(rows[1])


def test_show_without_a_study_is_refused(folder, refusal):
    assert "no complete trial" in refusal(tune, "digits", "denoising", show=True)


def test_show_names_the_studies_that_asked_otherwise(folder, refusal, capsys):
    study = run(trials=1)
    set_yaml(folder / "configs/data/digits.yaml", "training", "patience", value=1)
    refusal(tune, "digits", "denoising", show=True)
    assert f"{study.study_name}, which asked otherwise: training" in capsys.readouterr().out


def test_show_alone_makes_no_storage(folder, refusal):
    refusal(tune, "digits", "denoising", show=True)
    assert not (folder / "optuna.db").exists()


def test_show_prints_the_trials_best_first(folder, capsys):
    study = run(trials=3)
    tune("digits", "denoising", show=True)
    printed = capsys.readouterr().out
    assert f"{study.best_value:.4g}" in printed.splitlines()[-1]
    assert "3 trials (3 complete, 0 pruned, 0 fail)" in printed


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"workers": 0}, "workers"),
        ({"trials": 0}, "trials"),
        ({"trials": -5}, "-5"),
        ({"trials": 5, "show": True}, "--show"),
        ({"out": Path("configs")}, "configs"),
        ({"objective": "AUROC"}, "detection"),
        ({"space": "nowhere"}, "default"),
        ({"model": "denoisin"}, "denoising"),
        ({"data": "mnist"}, "prepare"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(folder, refusal, changes, word):
    sentence = refusal(tune, **({"data": "digits", "model": "denoising"} | changes))
    assert word in sentence
    assert not (folder / "optuna.db").exists()
