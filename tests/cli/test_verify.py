"""Command `verify`: corrupt and missing files are named, with the way to restore them."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hourglass.cli.verify import verify
from hourglass.core.atomic import sha256
from hourglass.core.checksums import write_with_checksum
from hourglass.core.dvc_lock import verify_outputs
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared_data import SPLITS, Prepared, Samples, write_prepared
from tests.robustness import flips
from tests.workspaces import Project

MINE = "mine"
CELL = Cell(MINE, "linear")
EVALUATE, BASELINES = CELL.output("evaluate"), Path("runs/mine/baselines.json")
METRICS, FIGURE = EVALUATE / "metrics.json", EVALUATE / "figures/roc.png"


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def entry(path: Path) -> dict[str, Any]:
    """Return DVC's record of an output: https://dvc.org/doc/user-guide/project-structure."""
    if path.is_file():
        content = path.read_bytes()
        return {"path": str(path), "hash": "md5", "md5": md5(content), "size": len(content)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    rows = [
        {"md5": md5(file.read_bytes()), "relpath": file.relative_to(path).as_posix()}
        for file in files
    ]
    text = json.dumps(rows).encode()
    listing = Path(".dvc/cache/files/md5", md5(text)[:2], f"{md5(text)[2:]}.dir")
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_bytes(text)
    size = sum(file.stat().st_size for file in files)
    digest = {"hash": "md5", "md5": f"{md5(text)}.dir"}
    return {"path": str(path), **digest, "size": size, "nfiles": len(files)}


@pytest.fixture
def locked(workspace, set_yaml) -> Path:
    """Give a workspace with a prepared data set, one evaluated cell, and their dvc.lock."""
    set_yaml("params.yaml", "data", value=[MINE])
    set_yaml("params.yaml", "models", value=["linear"])
    prepared = prepared_folder(MINE)
    prepared.mkdir(parents=True)
    x = np.zeros((2, 3), np.float32)
    samples = Samples(x, np.array(["a", "b"]), np.zeros(2, bool), np.array(["0", "1"]))
    write_prepared(prepared, dict.fromkeys(SPLITS, samples), {"data": MINE})
    FIGURE.parent.mkdir(parents=True)
    for path in (METRICS, FIGURE, BASELINES):
        path.write_text(f"{path.name}\n")
    stages = {
        f"prepare@{MINE}": {"deps": [entry(Path("params.yaml"))], "outs": [entry(prepared)]},
        f"baselines@{MINE}": {"outs": [entry(BASELINES)]},
        f"evaluate@{CELL.name}": {"outs": [entry(EVALUATE)]},
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    return workspace


@pytest.fixture
def trained(workspace) -> Path:
    """Give the folder of a cell with the files of `train` and `calibrate-threshold`."""
    for stage in ("train", "calibrate-threshold"):
        CELL.output(stage).mkdir(parents=True)
    train, calibrate = CELL.output("train"), CELL.output("calibrate-threshold")
    write_network(train, b"weights")
    (calibrate / "threshold.json").write_bytes(b"1")
    files = [*train.iterdir(), calibrate / "threshold.json"]
    checksums = {file.name: sha256(file) for file in files}
    write_with_checksum(calibrate / "detector.json", {"files": checksums})
    write_with_checksum(calibrate / "thresholds.json", {})
    return CELL.folder


def write_network(folder: Path, weights: bytes) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(weights)
    write_with_checksum(folder / "network.json", {"files": {path.name: sha256(path)}})


def rot(path: Path) -> None:
    """Change a byte and keep the time of the file."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def failures(capsys, *arguments: Any) -> tuple[list[str], str]:
    """Return the printed sentences and the summary of a verification that fails."""
    with pytest.raises(UserError, match="listed above") as caught:
        verify(*arguments)
    return capsys.readouterr().out.splitlines(), str(caught.value)


def test_an_intact_workspace_passes(locked, capsys):
    verify()
    expected = "checked 3 outputs of dvc.lock, 1 file with a checksum: no file is corrupt\n"
    assert capsys.readouterr().out == expected


# Only the files of prepared data, networks and detectors have checksums of their own.
@pytest.mark.parametrize(
    ("file", "state", "stage"),
    [
        (METRICS, "differs from dvc.lock", "evaluate@mine-linear"),
        (FIGURE, "differs from dvc.lock", "evaluate@mine-linear"),
        (BASELINES, "differs from dvc.lock", "baselines@mine"),
        ("data/prepared/mine/test/x.npy", "is corrupt: its checksum", "prepare@mine"),
        ("data/prepared/mine/card.json", "is corrupt: its checksum", "prepare@mine"),
    ],
)
def test_a_changed_file_is_named_with_its_state_and_its_stage(locked, capsys, file, state, stage):
    rot(Path(file))
    (sentence,), summary = failures(capsys)
    assert sentence.startswith(f"{file} {state}")
    assert sentence.endswith(f"dvc repro --force --single-item {stage}`.")
    corrupt = "corrupt" in state
    counts = f"corrupt: {'1 file' if corrupt else '0 files'}, different from dvc.lock: "
    assert f"{counts}{'0 files' if corrupt else '1 file'}, missing: 0 outputs" in summary


def test_an_output_written_again_by_its_stage_is_different_but_not_corrupt(locked, capsys):
    x = np.ones((2, 3), np.float32)
    samples = Samples(x, np.array(["a", "b"]), np.zeros(2, bool), np.array(["0", "1"]))
    shutil.rmtree(prepared_folder(MINE))
    prepared_folder(MINE).mkdir()
    write_prepared(prepared_folder(MINE), dict.fromkeys(SPLITS, samples), {"data": MINE})
    sentences, summary = failures(capsys)
    assert sentences
    assert all("differs from dvc.lock" in sentence for sentence in sentences)
    assert "corrupt: 0 files" in summary


def test_every_changed_and_every_additional_file_is_named(locked, capsys):
    rot(METRICS)
    rot(FIGURE)
    other = FIGURE.with_name("other.png")
    other.touch()
    sentences, summary = failures(capsys)
    assert [sentence.split()[0] for sentence in sentences] == [
        str(path) for path in (other, FIGURE, METRICS)
    ]
    assert "different from dvc.lock: 3 files" in summary


def test_missing_outputs_are_counted(locked, capsys):
    BASELINES.unlink()
    shutil.rmtree(EVALUATE)
    (sentence,), summary = failures(capsys)
    assert sentence.startswith(f"{BASELINES} and 1 other output are missing")
    assert "dvc pull" in sentence
    assert summary.startswith("checked 1 output of dvc.lock, 1 file with a checksum; ")
    assert "corrupt: 0 files" in summary
    assert "missing: 2 outputs" in summary
    (sentence,), summary = failures(capsys, MINE, "linear")
    assert sentence.startswith(f"{EVALUATE} is missing")
    assert summary.startswith("checked 0 outputs of dvc.lock, 0 files with a checksum; corrupt: 0")
    assert "missing: 1 output," in summary


def test_outputs_of_another_grid_may_be_missing(locked, set_yaml, capsys):
    shutil.rmtree(EVALUATE)
    set_yaml("params.yaml", "models", value=["sparse"])
    verify()
    assert "no file is corrupt" in capsys.readouterr().out


@pytest.mark.parametrize("selection", [(MINE, "linear"), (f"{MINE}/linear",), (MINE,)])
def test_only_the_selected_files_are_read(locked, capsys, selection):
    rot(METRICS)
    with pytest.raises(UserError, match="nothing to verify"):
        verify("digits")
    with pytest.raises(UserError, match=r"unknown data set 'digist'.*did you mean 'digits'"):
        verify("digist")
    assert len(failures(capsys, *selection)[0]) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size: 15", "size: 14"),
        ("nfiles: 2", "nfiles: 6"),
        ("hash: md5", "hash: md4"),
        ("outs:", "out3:"),
        ("path: runs", "pauh: runs"),
        ("stages:", "stages;"),
        ("\n  ", "\n\t "),
    ],
)
def test_a_corrupt_dvc_lock_is_detected(locked, old, new):
    text = Path("dvc.lock").read_text()
    assert old in text
    Path("dvc.lock").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError):
        verify()


def test_a_stage_that_dvc_runs_refuses_a_corrupt_input(locked, refusal):
    verify_outputs([EVALUATE])
    rot(METRICS)
    verify_outputs([Path("runs/other")])
    assert f"dvc checkout {EVALUATE}" in refusal(verify_outputs, [EVALUATE])


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("train/weights.safetensors", "train"),
        ("train/network.json", "train"),
        ("calibrate/threshold.json", "calibrate-threshold"),
        ("calibrate/thresholds.json", "calibrate-threshold"),
        ("calibrate/detector.json", "calibrate-threshold"),
    ],
)
def test_checksums_are_verified_without_dvc(trained, capsys, file, stage):
    verify("mine/linear")
    assert "0 outputs of dvc.lock, 3 files with a checksum" in capsys.readouterr().out
    rot(trained / file)
    (sentence,), _ = failures(capsys)
    assert sentence.startswith(f"{trained}/{file} cannot be used")
    assert f"`hourglass {stage} mine linear`" in sentence


def test_a_detector_of_another_network_is_named(trained, capsys):
    write_network(trained / "train", b"others")
    (sentence,), _ = failures(capsys)
    assert sentence.startswith(f"{trained}/calibrate/detector.json cannot be used")
    assert "trained again" in sentence


def test_prepared_data_are_verified_without_dvc(locked, capsys):
    Path("dvc.lock").unlink()
    card, array = (Path("data/prepared/mine", name) for name in ("card.json", "train/id.npy"))
    rot(array)
    (sentence,), _ = failures(capsys)
    assert sentence.startswith(f"{array} cannot be used")
    assert "hourglass prepare mine" in sentence
    card.write_text("{}")
    assert "has no checksum" in failures(capsys)[0][0]


def test_a_corrupt_array_is_not_read(locked, refusal):
    prepared = Prepared.open(prepared_folder(MINE))
    prepared.split("test")
    rot(prepared.folder / "test/x.npy")
    assert "hourglass prepare mine" in refusal(prepared.split, "test")
    prepared.split("train")


# With DVC itself.


@pytest.fixture(scope="module")
def project(new_project) -> Project:
    """Give a project after `dvc repro` of two cells."""
    project: Project = new_project()
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["linear", "denoising"])
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    (project / "dvc.lock").unlink(missing_ok=True)
    project.commit()
    project.run("dvc", "repro", "--quiet")
    project.hourglass("search", "digits", "linear", "digits/1")
    return project


def contents(project: Project) -> dict[str, bytes]:
    """Return every file that DVC tracks, and dvc.lock."""
    folders = ("data/prepared", "runs", "reports")
    names = ["dvc.lock", *(name for folder in folders for name in project.files(folder))]
    return {name: (project / name).read_bytes() for name in names if "/tracking/" not in name}


@pytest.mark.slow
def test_no_flipped_bit_goes_unnoticed(project, monkeypatch):
    monkeypatch.delenv("HOURGLASS_DATA", raising=False)
    before = contents(project)
    rows = flips.flip_bits(project.folder, 200)
    assert sum(row["tries"] for row in rows if row["fault"] == "rot") == 200
    assert {row["artefact"] for row in rows if row["silent"]} == set()
    assert contents(project) == before
    assert "no file is corrupt" in project.hourglass("verify", "--cache").stdout


@pytest.mark.slow
def test_dvc_restores_a_changed_file(project):
    before = contents(project)
    for name in ("train/weights.safetensors", "calibrate/detector.json", "evaluate/metrics.json"):
        path = project / f"runs/digits/linear/{name}"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert json.loads(project.run("dvc", "status", "--json").stdout)
    project.run("dvc", "repro", "--quiet")
    assert contents(project) == before


@pytest.mark.slow
def test_a_corrupt_file_is_restored_by_the_command_of_the_sentence(project):
    before, path = contents(project), project / "runs/digits/linear/evaluate/metrics.json"
    rot(path)
    assert project.run("dvc", "status").stdout.startswith("Data and pipelines are up to date")
    command = project.hourglass("verify", status=1).stdout.split("`")[1]
    path.unlink()
    project.run(*command.split())
    assert contents(project) == before
