"""The pipeline under DVC: it runs what changed, and nothing else."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from hourglass.core.code_digest import executed_modules
from hourglass.core.paths import STAGE_FOLDERS
from tests.tracking.stored import Row, rows
from tests.workspaces import ROOT, Project, living_in, wait_for_end

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


@pytest.mark.parametrize("stage", STAGE_FOLDERS)
def test_a_stage_of_a_cell_owns_one_folder(stages, stage):
    folder = "runs/${item.data}/${item.model}/" + STAGE_FOLDERS[stage]
    assert stages[stage]["outs"] == [folder]


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in ("snapshot", "compare")])
def test_a_stage_depends_on_the_digest_of_its_code(stages, stage):
    """`compare` depends on all of runs, and so on all digests."""
    cell = "${item.data}-${item.model}/" if stage in STAGE_FOLDERS else ""
    name = "data/${item.data}" if stage == "prepare" else f"{cell}{stage}"
    assert f"runs/.snapshot/{name}.json" in stages[stage]["deps"]
    assert stages["snapshot"]["outs"] == ["runs/.snapshot"]
    assert {"src", "configs"} <= set(stages["snapshot"]["deps"])


def test_no_stage_lists_source_files(stages):
    deps = [dep for name in STAGES[1:] for dep in stages[name]["deps"]]
    assert [dep for dep in deps if dep.startswith("src")] == []


def test_training_does_not_depend_on_the_calibration(stages):
    assert "calibration" not in str(stages["train"]["params"])
    modules = executed_modules("hourglass.stages.train")
    assert not [name for name in modules if "calibrators" in name or "threshold" in name]


@pytest.mark.parametrize("stage", STAGES)
def test_no_output_of_a_stage_is_needed_to_resume_a_training(stages, stage):
    """DVC deletes outputs before a stage runs."""
    outs = str({key: stages[stage].get(key) for key in ("outs", "metrics", "plots")})
    assert "checkpoints" not in outs
    assert "mlflow.db" not in outs
    assert "tracking" not in outs


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
    for left in living_in(project.folder):
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


@slow
def test_repro_runs_everything_down_to_the_leaderboard(done):
    table = pd.read_csv(done / "reports/leaderboard.csv")
    assert sorted(table[~table.baseline].model) == ["denoising", "linear"]
    assert (done / "reports/index.html").stat().st_size > 0
    assert sorted(row.name for row in cell_rows(done.folder)) == sorted(CELLS)


@slow
def test_a_second_repro_runs_nothing(repository):
    found = repository.run("dvc", "repro")
    assert ran(found.stdout) == set()
    assert "up to date" in found.stdout
    assert status(repository) == {}


@slow
def test_jobs_leave_nothing_for_dvc_to_run(repository):
    repository.set("params.yaml", "seed", value=7)
    output = repository.run("hourglass", "repro", "--jobs", "2").stdout
    assert ran(output) >= {f"{stage}@{cell}" for stage in STAGE_FOLDERS for cell in CELLS}
    assert repro(repository) == set()


@slow
def test_bytecode_is_no_code(repository):
    (repository / "src/hourglass/__pycache__").mkdir(exist_ok=True)
    (repository / "src/hourglass/__pycache__/left.cpython-311.pyc").write_bytes(b"of another run")
    assert status(repository) == {}


@slow
def test_git_ignores_all_that_the_pipeline_writes(done):
    assert done.git("status", "--porcelain") == ""


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
    assert {stage for stage in again if "@" in stage} <= {
        f"{stage}@digits-denoising" for stage in STAGES
    }
    assert "train@digits-denoising" in again


@slow
def test_a_change_to_the_calibration_trains_nothing(repository):
    weights = {
        cell: (repository / path_of(cell, "train/weights.safetensors")).read_bytes()
        for cell in CELLS
    }
    repository.set("params.yaml", "calibration", "init_args", "alpha", value=0.2)
    assert repro(repository) == {
        "snapshot",
        *(f"{stage}@{cell}" for stage in ("calibrate-threshold", "evaluate") for cell in CELLS),
        *(f"baselines@{data}" for data in {cell.split("-")[0] for cell in CELLS}),
        "compare",
    }
    for cell, before in weights.items():
        assert (repository / path_of(cell, "train/weights.safetensors")).read_bytes() == before
        assert (
            repository.read(path_of(cell, "calibrate/threshold.json"))["settings"]["alpha"] == 0.2
        )
    names = sorted(row.name for row in cell_rows(repository.folder))
    assert names == sorted([*CELLS, *CELLS])
    changed = json.loads(repository.run("dvc", "metrics", "diff", "--json").stdout)
    keys = changed["reports/metrics.json"].keys()
    for cell in CELLS:
        data, model = cell.split("-")
        assert f"{data}.{model}.false_alarm_rate" in keys
        assert f"{data}.{model}.AUROC" not in keys


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
def test_metrics_and_plots_are_shown(done):
    shown = json.loads(done.run("dvc", "metrics", "show", "--json").stdout)
    assert list(shown[""]["data"]) == ["reports/metrics.json"]
    page = done.run("dvc", "plots", "show", "--out", "dvc_plots").stdout
    assert "index.html" in page
    text = (done / "dvc_plots/index.html").read_text()
    for name in ("roc", "precision_recall", "validation_error"):
        assert f"reports/plots/{name}/digits.csv" in text


@slow
def test_an_experiment_takes_another_grid(repository):
    found = repository.run(
        "dvc", "exp", "run", "-S", "data=[breast_cancer]", "-S", "models=[linear]"
    )
    assert "train@breast_cancer-linear" in ran(found.stdout)
    assert {stage for stage in ran(found.stdout) if "digits" in stage} == set()
    table = pd.read_csv(repository / "reports/leaderboard.csv")
    cells = table[~table.baseline]
    assert (cells.data + "/" + cells.model).tolist() == ["breast_cancer/linear"]
    assert status(repository) == {}


@slow
def test_an_experiment_in_a_copy_is_recorded_in_the_project(repository):
    before = [row.id for row in cell_rows(repository.folder)]
    repository.run(
        "dvc", "exp", "run", "--temp", "--name", "elsewhere",
        "-S", "data=[breast_cancer]", "-S", "models=[linear]",
    )  # fmt: skip
    new = [row for row in cell_rows(repository.folder) if row.id not in before]
    assert [(row.name, row.status) for row in new] == [("breast_cancer-linear", "FINISHED")]
    assert "AUROC" in new[0].metrics
    assert "figures/roc.png" in new[0].artifacts
    assert not repository.files("runs/breast_cancer")
    assert not [path for path in repository.files(".dvc/tmp/exps") if path.endswith("mlflow.db")]
    repository.run("dvc", "exp", "apply", "elsewhere")
    assert (
        repository.read("runs/breast_cancer/linear/evaluate/metrics.json")["AUROC"]
        == new[0].metrics["AUROC"]
    )
    assert (repository / "runs/breast_cancer/linear/tracking/run_id").read_text().strip() == new[
        0
    ].id


@slow
def test_queued_experiments_run_and_are_recorded_in_the_project(repository):
    before = [row.id for row in cell_rows(repository.folder)]
    for factor in ("0.1", "0.2"):
        repository.run(
            "dvc", "exp", "run", "--queue", "--name", f"noise-{factor[-1]}",
            "-S", "models=[denoising]",
            "-S", f"configs/model/denoising.yaml:init_args.noise_factor={factor}",
        )  # fmt: skip
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


@slow
def test_a_fresh_clone_pulls_everything_and_trains_nothing(repository, tmp_path):
    repository.run("dvc", "remote", "add", "--default", "shelf", str(tmp_path / "shelf"))
    repository.run("dvc", "push")
    repository.commit()
    repository.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "pull")
    assert status(clone) == {}
    assert repro(clone) == set()
    clone.set("params.yaml", "calibration", "init_args", "alpha", value=0.2)
    assert not [stage for stage in repro(clone) if "train" in stage]
    assert sorted(row.name for row in cell_rows(clone.folder)) == sorted(CELLS)
    for row in cell_rows(clone.folder):
        assert row.params["threshold_alpha"] == "0.2"
        assert row.steps["train_loss"] == [0, 1]
        assert "AUROC" in row.metrics


def add_own_table(project: Project) -> str:
    """Add the data set `mine`, a table of 300 rows; return the path of its settings."""
    rng = range(300)
    frame = pd.DataFrame({"a": [i * 37 % 101 for i in rng], "b": [i * 53 % 97 for i in rng]})
    frame.to_csv(project / "data/own/mine.csv", index=False)
    path = "configs/data/mine.yaml"
    project.set(path, "class_path", value="hourglass.data.table.Table")
    project.set(path, "init_args", value={"path": "data/own/mine.csv"})
    return path


@slow
def test_own_data_need_no_sections_beyond_what_the_data_set_is(repository):
    path = add_own_table(repository)
    repository.set(path, "training", value={"max_epochs": 1})
    repository.set("configs/model/linear.yaml", "init_args", value={"latent_dim": 1})
    repository.set("params.yaml", "data", value=["mine"])
    repository.set("params.yaml", "models", value=["linear"])
    assert "train@mine-linear" in repro(repository)
    assert repro(repository) == set()
    assert "false_alarm_rate" in repository.read("runs/mine/linear/evaluate/metrics.json")


@slow
def test_own_data_run_in_a_copy_too(repository):
    path = add_own_table(repository)
    repository.set(path, "model", value={"latent_dim": 1, "hidden": [2]})
    repository.set(path, "training", value={"max_epochs": 1, "batch_size": 32})
    repository.commit()
    repository.run(
        "dvc", "exp", "run", "--temp", "-S", "data=[mine]", "-S", "models=[linear]"
    )  # fmt: skip
    assert [row.params["data"] for row in cell_rows(repository.folder)].count("mine") == 1


@slow
def test_a_stage_that_is_refused_stops_dvc_with_the_sentence(repository):
    repository.set("configs/model/denoising.yaml", "init_args", "latent_dim", value=0)
    found = repository.run("dvc", "repro", status=None)
    assert found.returncode != 0
    assert "latent_dim is 0" in found.stderr
    assert "Traceback" not in found.stderr + found.stdout


@slow
def test_an_unknown_name_in_the_grid_stops_dvc(repository):
    repository.set("params.yaml", "models", value=["linear", "denoisng"])
    found = repository.run("dvc", "repro", status=None)
    assert found.returncode != 0
    assert "denoisng" in found.stderr
    assert "Traceback" not in found.stderr + found.stdout


@slow
@pytest.mark.parametrize("left", [0.0, 0.3, 0.9])
def test_a_lock_file_that_a_kill_cut_short_costs_no_training(repository, left):
    """DVC writes it in place: a kill in that moment would leave a pipeline that seems new."""
    path, ids = repository / "dvc.lock", [row.id for row in cell_rows(repository.folder)]
    before = {name: (repository / name).read_bytes() for name in repository.files("runs")}
    text = path.read_text()
    cut = text.index("\n", int(left * len(text))) - 3  # within a line
    path.write_text(text[:cut])
    found = repository.hourglass("repro")
    assert "dvc.lock was truncated" in found.stderr
    assert ran(found.stdout) == set()
    assert {name: (repository / name).read_bytes() for name in repository.files("runs")} == before
    assert [row.id for row in cell_rows(repository.folder)] == ids
    assert status(repository) == {}


@slow
def test_two_pipelines_at_once_take_turns(repository):
    repository.set("params.yaml", "calibration", "init_args", "alpha", value=0.2)
    commands = [repository.start("python", "src/hourglass", "repro") for _ in range(2)]
    outcomes = [command.communicate() for command in commands]
    assert [command.returncode for command in commands] == [0, 0], outcomes
    said = [errors.count("another `hourglass repro` is at work here") for _, errors in outcomes]
    assert sorted(said) == [0, 1]
    assert sorted(bool(ran(output)) for output, _ in outcomes) == [False, True]
