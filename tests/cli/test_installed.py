"""The installed wheel without a checkout: two workspaces that `hourglass init` creates."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from hourglass.cli.template import PACKED, repository_files
from tests.workspaces import Project, environment, wait_for_end

pytestmark = pytest.mark.slow

BUILD = "from setuptools import build_meta; build_meta.build_sdist('dist')"
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
OFFLINE = ("--no-deps", "--no-index", "--no-build-isolation")
VARIANT = """
from beside import PENALTY
from hourglass.models.undercomplete import Undercomplete

class Mine(Undercomplete):
    def penalty(self, x, z):
        return PENALTY * z.square().mean()
"""


@pytest.fixture(scope="module")
def programs(new_project, tmp_path_factory) -> Path:
    """Install a wheel in an environment that shares the other packages; return its programs.

    The wheel is built from a source archive, which must have the files of the template.
    """
    source, folder = new_project(), tmp_path_factory.mktemp("installed")
    source.run(sys.executable, "-c", BUILD)
    (archive,) = (source / "dist").glob("*.tar.gz")
    source.run(*PIP, "wheel", *OFFLINE, "--wheel-dir", "dist", str(archive))
    (wheel,) = (source / "dist").glob("*.whl")
    source.run(sys.executable, "-m", "venv", "--without-pip", f"{folder}")
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", vars=paths))
    (packages / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    python = str(folder / "bin/python")
    install = ("install", *OFFLINE, "--ignore-installed", str(wheel))
    source.run(*PIP, "--python", python, *install)
    assert (packages / "hourglass/cli" / PACKED).exists()
    return folder / "bin"


@pytest.fixture(scope="module")
def start(programs):
    """Give a function that starts a program of the environment in a workspace."""

    def run(workspace: Project, *words: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(programs), environment()["PATH"]])
        return workspace.start(*words, PATH=path)

    return run


@pytest.fixture(scope="module")
def run(start):
    """Give a function that runs a program to its end and returns its output."""

    def call(workspace: Project, *words: str, status: int = 0) -> str:
        process = start(workspace, *words)
        output, errors = process.communicate(timeout=600)
        assert process.returncode == status, output + errors
        return f"{output}{errors}"

    return call


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory, start, run) -> list[Project]:
    """Give two workspaces in which `dvc repro` ran at the same time."""
    top = Project(tmp_path_factory.mktemp("workspaces"))
    made = []
    for data, model in (("digits", "denoising"), ("breast_cancer", "linear")):
        run(top, "hourglass", "init", f"of {data}")
        workspace = Project(top / f"of {data}")
        workspace.set("params.yaml", "data", value=[data])
        workspace.set("params.yaml", "models", value=[model])
        workspace.set(f"configs/data/{data}.yaml", "training", "max_epochs", value=1)
        made.append(workspace)
    for process in [start(workspace, "dvc", "repro") for workspace in made]:
        output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, output + errors
    return made


def test_the_wheel_has_the_files_of_a_workspace(workspaces, repository):
    written = set(workspaces[0].files("."))
    assert written >= repository_files(repository).keys()


def test_the_pipeline_runs_and_leaves_no_process(workspaces):
    for workspace, cell in zip(
        workspaces, ("digits-denoising", "breast_cancer-linear"), strict=True
    ):
        (row,) = workspace.read("reports/metrics.json").values()
        assert cell.partition("-")[2] in row
        wait_for_end(workspace.folder)


def test_the_second_run_has_nothing_to_do(workspaces, run):
    for workspace in workspaces:
        assert "Data and pipelines are up to date" in run(workspace, "dvc", "repro")
        assert "no file is corrupt" in run(workspace, "hourglass", "verify")


def test_another_version_must_be_accepted_first(workspaces, run):
    workspace = workspaces[1]
    pin = (workspace / "requirements.txt").read_text()
    (workspace / "requirements.txt").write_text("hourglass==0.0.1\n")
    for words in (("dvc", "repro"), ("hourglass", "repro")):
        output = run(workspace, *words, status=255 if words[0] == "dvc" else 1)
        assert "pins hourglass 0.0.1" in output
    assert f"+{pin}" in run(workspace, "hourglass", "init", "--upgrade")
    run(workspace, "hourglass", "init", "--upgrade", "--apply")
    assert (workspace / "requirements.txt").read_text() == pin
    assert "nothing to change" in run(workspace, "hourglass", "init", "--upgrade")


def test_changed_code_of_the_package_runs_again_what_executes_it(workspaces, run, programs):
    """`hourglass repro` sees it, though DVC does not."""
    (path,) = programs.parent.glob("lib/*/site-packages/hourglass/stages/calibrate_threshold.py")
    text = path.read_text()
    path.write_text(f"{text}\nCHANGED = True\n")
    try:
        output = run(workspaces[0], "hourglass", "repro")
        assert "Running stage 'calibrate-threshold@digits-denoising'" in output
        assert "Running stage 'train" not in output
        assert "is up to date" not in output
    finally:
        path.write_text(text)
        path.touch()


def test_modules_in_src_are_trained_and_tracked(workspaces, run):
    workspace = workspaces[1]
    (workspace / "src/mine.py").write_text(VARIANT)
    (workspace / "src/beside.py").write_text("PENALTY = 0.1\n")
    model = (workspace / "configs/model/undercomplete.yaml").read_text()
    (workspace / "configs/model/mine.yaml").write_text(
        model.replace("hourglass.models.undercomplete.Undercomplete", "mine.Mine")
    )
    workspace.set("params.yaml", "models", value=["mine"])
    workspace.set("params.yaml", "trusted_modules", value=["mine"])
    run(workspace, "dvc", "repro", "evaluate@breast_cancer-mine")
    settings = (workspace / "runs/breast_cancer/mine/train/settings.yaml").read_text()
    assert "mine.Mine" in settings
    run(workspace, "hourglass", "tune", "breast_cancer", "mine", "--trials", "1")
    (workspace / "src/beside.py").write_text("PENALTY = 0.2\n")
    output = run(workspace, "dvc", "repro", "train@breast_cancer-mine")
    assert "Running stage 'train@breast_cancer-mine'" in output


def test_two_processes_train_together(workspaces, run):
    """Lightning starts the second one with the command of the stage, which ran in a fork."""
    workspace = workspaces[0]
    for key, value in {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}.items():
        workspace.set("configs/trainer/two.yaml", key, value=value)
    workspace.set("params.yaml", "trainer", value="two")
    run(workspace, "dvc", "repro", "train@digits-denoising")
    wait_for_end(workspace.folder)
    settings = (workspace / "runs/digits/denoising/train/settings.yaml").read_text()
    assert "devices: 2" in settings
