"""The pipeline under DVC: it runs what changed, and nothing else."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from hourglass.core.code_digest import executed_modules
from hourglass.core.paths import STAGE_FOLDERS
from tests.tracking.stored import Row, rows
from tests.workspaces import ROOT, Project, processes_in, wait_for_end

STAGES = (
    *("snapshot", "prepare", "train", "calibrate-threshold", "evaluate", "baselines"),
    *("references", "study", "compare"),
)
CELLS = ("digits-linear", "digits-denoising")


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_there_is_one_stage_per_step_and_it_runs_the_command_of_its_name(stages):
    assert tuple(stages) == STAGES
    for stage, definition in stages.items():
        assert definition["cmd"].startswith(f"python src/hourglass {stage}")
    for stage, folder in STAGE_FOLDERS.items():  # a stage of a cell owns one folder
        assert stages[stage]["outs"] == ["runs/${item.data}/${item.model}/" + folder]


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in ("snapshot", "compare")])
def test_a_stage_depends_on_the_digest_of_its_code_and_on_no_source_file(stages, stage):
    """`compare` depends on all of runs, and so on all digests."""
    cell = "${item.data}-${item.model}/" if stage in STAGE_FOLDERS else ""
    name = "data/${item.data}" if stage == "prepare" else f"{cell}{stage}"
    assert f"runs/.snapshot/{name}.json" in stages[stage]["deps"]
    assert not [dep for dep in stages[stage]["deps"] if dep.startswith("src")]
    assert stages["snapshot"]["outs"] == ["runs/.snapshot"]
    assert {"src", "configs"} <= set(stages["snapshot"]["deps"])


def test_only_the_snapshot_depends_on_all_own_data(stages):
    assert [name for name in STAGES if "data/own" in stages[name]["deps"]] == ["snapshot"]


def test_training_does_not_depend_on_the_calibration(stages):
    assert "calibration" not in str(stages["train"]["params"])
    modules = executed_modules("hourglass.stages.train")
    assert not [name for name in modules if "calibrators" in name or "threshold" in name]


@pytest.mark.parametrize("stage", STAGES)
def test_no_output_of_a_stage_is_needed_to_resume_a_training(stages, stage):
    """DVC deletes outputs before a stage runs."""
    outs = str({key: stages[stage].get(key) for key in ("outs", "metrics", "plots")})
    assert not [name for name in ("checkpoints", "mlflow.db", "tracking") if name in outs]


def test_dvc_makes_no_network_requests():
    text = (ROOT / ".dvc/config").read_text()
    assert "analytics = false" in text
    assert "check_update = false" in text


slow = pytest.mark.slow


@pytest.fixture(scope="module")
def done(new_project) -> Project:
    """Give a repository in which `dvc repro` ran a small grid and its result is committed."""
    project: Project = new_project()
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["linear", "denoising"])
    project.commit()
    project.run("dvc", "repro")
    project.commit()
    return project


@pytest.fixture
def repository(done, tmp_path) -> Iterator[Project]:
    """Give a copy of it, and leave no process in it."""
    project = Project(Path(shutil.copytree(done.folder, tmp_path / "hourglass", symlinks=True)))
    yield project
    for left in processes_in(project.folder):
        left.kill()


def status(project: Project) -> dict[str, Any]:
    """Return what DVC finds changed, by stage."""
    return json.loads(project.run("dvc", "status", "--json").stdout)


def ran(output: str) -> set[str]:
    """Return the stages that ran, by DVC's account."""
    lines = [line for line in output.splitlines() if line.startswith("Running stage")]
    return {line.split("'")[1] for line in lines}


def cell_rows(folder: Path) -> list[Row]:
    """Return the runs in MLflow but for those that hold a comparison."""
    return [row for row in rows(folder) if "hourglass.report" not in row.tags]


def repro(project: Project, *words: str) -> set[str]:
    return ran(project.run("dvc", "repro", *words).stdout)


def run_experiment(project: Project, *options: str, **settings: str) -> set[str]:
    """Run `dvc exp run` with settings of params.yaml; return the stages that ran."""
    words = [word for key, value in settings.items() for word in ("-S", f"{key}=[{value}]")]
    return ran(project.run("dvc", "exp", "run", *options, *words).stdout)


@slow
def test_repro_runs_everything_down_to_the_leaderboard(done):
    table = pd.read_csv(done / "reports/leaderboard.csv")
    assert sorted(table[~table.baseline].model) == ["denoising", "linear"]
    assert (done / "reports/index.html").stat().st_size > 0
    assert sorted(row.name for row in cell_rows(done.folder)) == sorted(CELLS)
    outputs = ("runs", "reports", "data/prepared", "checkpoints", "mlruns", "mlflow.db*")
    tracked = done.git("ls-files", *outputs).split()  # git ignores all that the pipeline writes
    assert {Path(name).name for name in tracked} <= {".gitkeep", "README.md"}


def points(plot: list[dict[str, Any]], model: str) -> pd.DataFrame:
    """Return the points of a variant in a plot of `dvc plots show`."""
    table = pd.DataFrame(plot[0]["content"]["data"]["values"])
    return table[table.field == model].drop(columns=["rev", "field"]).astype(float, errors="ignore")


@slow
def test_metrics_and_plots_of_dvc_agree_with_evaluate_and_mlflow(done):
    shown = json.loads(done.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    ((file, metrics),) = shown.items()
    assert file == "reports/metrics.json"
    text = done.run("dvc", "plots", "show", "--json", "--out", "dvc_plots").stdout
    plots = json.loads(text[text.index("{") :].splitlines()[0])["data"]
    curves = ("roc", "precision_recall", "validation_error")
    assert plots.keys() == {f"reports/plots/{name}/digits.csv" for name in curves}
    recorded = {row.name: row for row in cell_rows(done.folder)}
    for model in ("linear", "denoising"):
        evaluated = done.read(f"runs/digits/{model}/evaluate/metrics.json")
        row = recorded[f"digits-{model}"]
        logged = {key.partition("/")[2]: value for key, value in row.metrics.items()}
        for values in (metrics["data"]["digits"][model], logged):
            common = values.keys() & evaluated.keys()
            assert {"AUROC", "false_alarm_rate"} <= common
            for key in common:
                assert values[key] == pytest.approx(evaluated[key], rel=1e-4)
        roc = points(plots["reports/plots/roc/digits.csv"], model)
        area = np.trapezoid(roc[model], roc.false_positive_rate)
        assert area == pytest.approx(evaluated["AUROC"], abs=0.01)
        drawn = points(plots["reports/plots/validation_error/digits.csv"], model)[model]
        history = pd.read_csv(done / f"runs/digits/{model}/train/history.csv").validation_error
        values = [float(value) for value in drawn if value != ""]  # empty after the last epoch
        assert values == pytest.approx(history.tolist(), rel=1e-4)
        assert row.metrics["training/validation_error"] == pytest.approx(history.iloc[-1], rel=1e-4)


@slow
def test_a_second_repro_runs_nothing(repository):
    bytecode = repository / "src/hourglass/__pycache__"
    bytecode.mkdir(exist_ok=True)
    (bytecode / "left.cpython-311.pyc").write_bytes(b"of another run")
    output = repository.run("dvc", "repro").stdout
    assert ran(output) == set()
    assert "up to date" in output
    assert status(repository) == {}


@slow
def test_jobs_leave_nothing_for_dvc_to_run(repository):
    repository.set("params.yaml", "seed", value=7)
    output = repository.run("hourglass", "repro", "--jobs", "2").stdout
    assert ran(output) >= {f"{stage}@{cell}" for stage in STAGE_FOLDERS for cell in CELLS}
    assert repro(repository) == set()


@slow
@pytest.mark.parametrize(
    "path", ["configs/model/denoising.yaml", "src/hourglass/models/denoising.py"]
)
def test_a_change_to_a_variant_concerns_its_cells_alone(repository, path):
    if path.endswith("yaml"):
        repository.set(path, "init_args", "noise_factor", value=0.1)
    else:
        (repository / path).write_text((repository / path).read_text() + "\nANOTHER = 1\n")
    # DVC sees a change of source code once `snapshot` has run.
    changed = {"train@digits-denoising"} if path.endswith("yaml") else set()
    assert set(status(repository)) - {"snapshot"} == changed
    again = repro(repository)
    possible = {f"{stage}@digits-denoising" for stage in STAGES}
    assert {stage for stage in again if "@" in stage} <= possible
    assert "train@digits-denoising" in again


@slow
def test_a_change_to_the_calibration_trains_nothing(repository):
    paths = [repository / path_of(cell, "train/weights.safetensors") for cell in CELLS]
    weights = [path.read_bytes() for path in paths]
    repository.set("params.yaml", "calibration", "init_args", "alpha", value=0.2)
    assert repro(repository) == {
        "snapshot",
        *(f"{stage}@{cell}" for stage in ("calibrate-threshold", "evaluate") for cell in CELLS),
        "baselines@digits",
        "compare",
    }
    assert [path.read_bytes() for path in paths] == weights
    changed = json.loads(repository.run("dvc", "metrics", "diff", "--json").stdout)
    keys = changed["reports/metrics.json"].keys()
    for cell in CELLS:
        threshold = repository.read(path_of(cell, "calibrate/threshold.json"))
        assert threshold["settings"]["alpha"] == 0.2
        name = cell.replace("-", ".")
        assert f"{name}.false_alarm_rate" in keys
        assert f"{name}.AUROC" not in keys
    names = sorted(row.name for row in cell_rows(repository.folder))
    assert names == sorted([*CELLS, *CELLS])


def path_of(cell: str, file: str) -> str:
    return f"runs/{cell.replace('-', '/')}/{file}"


@slow
def test_a_change_to_what_only_records_concerns_nothing(repository):
    for path in (repository / "src/hourglass/tracking").glob("*.py"):
        path.write_text(path.read_text() + "\nANOTHER = 1\n")
    assert repro(repository) == {"snapshot"}  # whose digests stay the same


@slow
def test_another_seed_prepares_and_trains_all_cells_again(repository):
    repository.set("params.yaml", "seed", value=1)
    assert set(status(repository)) >= {"prepare@digits", *(f"train@{cell}" for cell in CELLS)}


@slow
def test_an_experiment_takes_another_grid(repository):
    stages = run_experiment(repository, data="breast_cancer", models="linear")
    assert "train@breast_cancer-linear" in stages
    assert not [stage for stage in stages if "digits" in stage]
    table = pd.read_csv(repository / "reports/leaderboard.csv")
    cells = table[~table.baseline]
    assert (cells.data + "/" + cells.model).tolist() == ["breast_cancer/linear"]
    assert status(repository) == {}


@slow
def test_an_experiment_in_a_copy_is_recorded_in_the_project(repository):
    before = [row.id for row in cell_rows(repository.folder)]
    options = ("--temp", "--name", "elsewhere")
    run_experiment(repository, *options, data="breast_cancer", models="linear")
    (new,) = (row for row in cell_rows(repository.folder) if row.id not in before)
    assert (new.name, new.status) == ("breast_cancer-linear", "FINISHED")
    assert "figures/roc.png" in new.artifacts
    assert not repository.files("runs/breast_cancer")
    assert not [path for path in repository.files(".dvc/tmp/exps") if path.endswith("mlflow.db")]
    repository.run("dvc", "exp", "apply", "elsewhere")
    metrics = repository.read("runs/breast_cancer/linear/evaluate/metrics.json")
    assert new.metrics["test/AUROC"] == pytest.approx(metrics["AUROC"], rel=1e-4)


@slow
def test_queued_experiments_run_and_are_recorded_in_the_project(repository):
    before = [row.id for row in cell_rows(repository.folder)]
    for factor in ("0.1", "0.2"):
        setting = f"configs/model/denoising.yaml:init_args.noise_factor={factor}"
        options = ("--queue", "--name", f"noise-{factor[-1]}", "-S", setting)
        run_experiment(repository, *options, models="denoising")
    repository.run("dvc", "queue", "start", "--jobs", "1")
    wait_for_end(repository.folder)
    listed = repository.run("dvc", "queue", "status").stdout
    assert listed.count("Success") == 2, listed
    new = [row for row in cell_rows(repository.folder) if row.id not in before]
    assert sorted(row.params["noise_factor"] for row in new) == ["0.1", "0.2"]
    assert {row.status for row in new} == {"FINISHED"}
    shown = repository.run("dvc", "exp", "show", "--csv").stdout
    assert "noise-1" in shown
    assert "noise-2" in shown


def pulled_clone(repository: Project, folder: Path) -> Project:
    """Return a clone of a repository that has pulled its data and results from a DVC remote."""
    repository.run("dvc", "remote", "add", "--default", "shelf", str(folder / "shelf"))
    repository.run("dvc", "push")
    repository.commit()
    repository.git("clone", "--quiet", ".", str(folder / "clone"))
    clone = Project(folder / "clone")
    clone.run("dvc", "pull")
    return clone


@slow
def test_a_fresh_clone_pulls_everything_and_trains_nothing(repository, tmp_path):
    clone = pulled_clone(repository, tmp_path)
    assert status(clone) == {}
    assert repro(clone) == set()
    clone.set("params.yaml", "calibration", "init_args", "alpha", value=0.2)
    assert not [stage for stage in repro(clone) if "train" in stage]
    assert sorted(row.name for row in cell_rows(clone.folder)) == sorted(CELLS)
    for row in cell_rows(clone.folder):
        assert row.params["threshold_alpha"] == "0.2"
        # PCA needs one epoch.
        epochs = [0] if row.params["model"] == "linear" else [0, 1]
        assert row.steps["training/train_loss"] == epochs
        assert "test/AUROC" in row.metrics


def add_own_table(project: Project) -> None:
    """Make the grid one cell of a table in data/own."""
    table = pd.DataFrame({"a": range(300), "b": range(300)}) * [37, 53] % [101, 97]
    table.to_csv(project / "data/own/mine.csv", index=False)
    path = "configs/data/mine.yaml"
    project.set(path, "class_path", value="hourglass.data.table.Table")
    project.set(path, "init_args", value={"path": "data/own/mine.csv"})
    project.set(path, "training", value={"max_epochs": 1})
    project.set("configs/model/linear.yaml", "init_args", value={"latent_dim": 1})
    project.set("params.yaml", "data", value=["mine"])
    project.set("params.yaml", "models", value=["linear"])


@slow
def test_own_data_need_no_further_settings_and_run_in_a_copy_too(repository):
    add_own_table(repository)
    repository.commit()
    run_experiment(repository, "--temp", data="mine", models="linear")
    assert [row.params["data"] for row in cell_rows(repository.folder)].count("mine") == 1
    assert "train@mine-linear" not in repro(repository)  # DVC's run cache has it from the copy
    assert repro(repository) == set()
    assert "false_alarm_rate" in repository.read("runs/mine/linear/evaluate/metrics.json")


@slow
@pytest.mark.parametrize("is_added", [True, False])
def test_a_clone_with_own_data_pulls_everything_and_runs_no_stage_of_a_cell(
    repository, tmp_path, is_added
):
    add_own_table(repository)
    for folder in ("data/prepared", "runs"):  # `compare` depends on other cells here, too
        shutil.rmtree(repository / folder)
    if is_added:
        repository.run("dvc", "add", "data/own/mine.csv")
    repro(repository)
    clone = pulled_clone(repository, tmp_path)
    assert (clone / "data/own/mine.csv").exists() == is_added
    assert repro(clone) == (set() if is_added else {"snapshot"})  # which keeps the digest
    assert clone.files("data/prepared/mine")
    assert repro(clone) == set()
    assert clone.git("status", "--porcelain").split() == ([] if is_added else ["M", "dvc.lock"])


@slow
def test_another_file_in_own_data_prepares_nothing_again_and_a_changed_one_does(repository):
    add_own_table(repository)
    repro(repository)
    (repository / "data/own/other.csv").write_text("a,b\n1,2\n")
    assert repro(repository) == {"snapshot"}  # whose digests stay the same
    with (repository / "data/own/mine.csv").open("a") as file:
        file.write("3,4\n")
    assert {"snapshot", "prepare@mine", "train@mine-linear"} <= repro(repository)


@slow
def test_results_outside_the_grid_come_back_without_running_a_stage_of_a_cell(repository):
    add_own_table(repository)
    repository.commit()
    run_experiment(repository, "--name", "mine")
    run_experiment(repository, data="digits", models="linear")
    assert (repository / "data/own/mine.csv").exists()
    stopped = repository.hourglass("score", "mine", "linear", "data/own/mine.csv", status=1)
    assert "`dvc exp apply mine` restores" in stopped.stderr
    assert run_experiment(repository, data="mine", models="linear") <= {"compare"}
    repository.hourglass("score", "mine", "linear", "data/own/mine.csv")


@slow
def test_a_copy_without_settings_that_git_does_not_track_runs_no_other_stage(repository):
    add_own_table(repository)
    options = ("--temp", "-S", "data=[mine]", "-S", "models=[linear]")
    stopped = repository.run("dvc", "exp", "run", *options, status=None)
    assert stopped.returncode != 0
    assert ran(stopped.stdout) == {"snapshot"}
    assert "run `git add configs/data/mine.yaml` and start" in stopped.stderr
    repository.git("add", "configs/data/mine.yaml")
    assert "train@mine-linear" in run_experiment(repository, "--temp", data="mine", models="linear")


@slow
@pytest.mark.parametrize(
    ("path", "keys", "value", "message"),
    [
        ("configs/model/denoising.yaml", ("init_args", "latent_dim"), 0, "latent_dim is 0"),
        ("params.yaml", ("models",), ["linear", "denoisng"], "denoisng"),
    ],
)
def test_a_refused_stage_or_grid_stops_dvc_with_the_sentence(
    repository, path, keys, value, message
):
    repository.set(path, *keys, value=value)
    stopped = repository.run("dvc", "repro", status=None)
    assert stopped.returncode != 0
    assert message in stopped.stderr
    assert "Traceback" not in stopped.stderr + stopped.stdout


@slow
@pytest.mark.parametrize("left", [0.0, 0.3, 0.9])
def test_a_lock_file_that_a_kill_cut_short_costs_no_training(repository, left):
    """DVC writes it in place: a kill in that moment would leave a pipeline that seems new."""
    path, ids = repository / "dvc.lock", [row.id for row in cell_rows(repository.folder)]
    before = {name: (repository / name).read_bytes() for name in repository.files("runs")}
    text = path.read_text()
    cut = text.index("\n", int(left * len(text))) - 3  # within a line
    path.write_text(text[:cut])
    done = repository.hourglass("repro")
    assert "dvc.lock was truncated" in done.stderr
    assert ran(done.stdout) == set()
    assert {name: (repository / name).read_bytes() for name in repository.files("runs")} == before
    assert [row.id for row in cell_rows(repository.folder)] == ids
    assert status(repository) == {}
