"""`hourglass verify`: what is not as it was written is named, with the way to mend it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hourglass.cli.verify import verify
from hourglass.core.checksums import write_with_checksum
from hourglass.core.dvc_lock import locked_as_written
from hourglass.core.errors import UserError
from hourglass.core.paths import prepared_folder
from hourglass.data.prepared import SPLITS, Prepared, Samples, write_prepared
from tests.robustness import flips
from tests.workspaces import Project

METRICS, FIGURES, MINE = (
    Path("runs/mine/linear/evaluate/metrics.json"),
    Path("runs/mine/linear/evaluate/figures"),
    "mine",
)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def entry(path: Path) -> dict:
    """Return what DVC writes of an output: https://dvc.org/doc/user-guide/project-structure."""
    if path.is_file():
        return {
            "path": str(path),
            "hash": "md5",
            "md5": md5(path.read_bytes()),
            "size": path.stat().st_size,
        }
    files = sorted(each for each in path.rglob("*") if each.is_file())
    rows = [
        {"md5": md5(each.read_bytes()), "relpath": each.relative_to(path).as_posix()}
        for each in files
    ]
    text = json.dumps(rows).encode()
    kept = Path(".dvc/cache/files/md5", md5(text)[:2], f"{md5(text)[2:]}.dir")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(text)
    size = sum(each.stat().st_size for each in files)
    return {
        "path": str(path),
        "hash": "md5",
        "md5": f"{md5(text)}.dir",
        "size": size,
        "nfiles": len(files),
    }


@pytest.fixture
def locked(workspace, set_yaml) -> Path:
    """Give a workspace with a prepared data set and what its one cell wrote, and their dvc.lock."""
    set_yaml("params.yaml", "data", value=[MINE])
    set_yaml("params.yaml", "models", value=["linear"])
    prepared = prepared_folder(MINE)
    prepared.mkdir(parents=True)
    x = np.zeros((2, 3), np.float32)
    samples = Samples(x, np.array(["a", "b"]), np.zeros(2, bool), np.array(["0", "1"]))
    write_prepared(prepared, dict.fromkeys(SPLITS, samples), {"data": MINE})
    FIGURES.mkdir(parents=True)
    METRICS.write_text('{"AUROC": 0.5}\n')
    for name in ("roc.png", "scores.png"):
        (FIGURES / name).write_text(name)
    source = Path("params.yaml")
    stages = {
        f"prepare@{MINE}": {"deps": [entry(source)], "outs": [entry(prepared)]},
        f"evaluate@{MINE}-linear": {"outs": [entry(METRICS), entry(FIGURES)]},
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    return workspace


def rot(path: Path) -> None:
    """Change a byte, and leave the time of the file as it was."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def said(capsys, *arguments: Any) -> list[str]:
    """Return the sentences of a verification that finds something."""
    with pytest.raises(UserError, match="named above"):
        verify(*arguments)
    return capsys.readouterr().out.splitlines()


def test_a_whole_workspace_is_said_to_be_whole(locked, capsys):
    verify()
    assert capsys.readouterr().out == "3 outputs of dvc.lock, 1 seals: all is as it was written\n"


@pytest.mark.parametrize(
    "file",
    [METRICS, FIGURES / "roc.png", "data/prepared/mine/test/x.npy", "data/prepared/mine/card.json"],
)
def test_a_file_that_rots_is_named_with_its_stage(locked, capsys, file):
    rot(Path(file))
    (sentence,) = said(capsys)
    assert sentence.startswith(f"{file} is not as ")
    stage = "prepare@mine" if "prepared" in str(file) else "evaluate@mine-linear"
    assert sentence.endswith(f"dvc repro --force --single-item {stage}`.")


def test_of_two_files_both_are_named(locked, capsys):
    rot(METRICS)
    rot(FIGURES / "roc.png")
    assert [line.split()[0] for line in said(capsys)] == [str(METRICS), str(FIGURES / "roc.png")]


def test_a_file_too_many_is_named(locked, capsys):
    (FIGURES / "other.png").touch()
    assert said(capsys)[0].startswith(f"{FIGURES}/other.png is not as")


def test_missing_outputs_are_counted(locked, capsys):
    METRICS.unlink()
    for file in FIGURES.iterdir():
        file.unlink()
    FIGURES.rmdir()
    (sentence,) = said(capsys)
    assert sentence.startswith(f"{METRICS} and 1 more are missing")
    assert "dvc pull" in sentence


def test_outputs_of_another_grid_need_not_be_there(locked, set_yaml, capsys):
    METRICS.unlink()
    set_yaml("params.yaml", "models", value=["sparse"])
    verify()
    assert "all is as it was written" in capsys.readouterr().out


def test_only_what_was_asked_for_is_read(locked, capsys):
    rot(METRICS)
    with pytest.raises(UserError, match="nothing to verify"):
        verify("other")
    assert said(capsys, MINE, "linear")


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
def test_a_damaged_lock_is_noticed(locked, old, new):
    text = Path("dvc.lock").read_text()
    assert old in text
    Path("dvc.lock").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError):
        verify()


def test_a_stage_that_dvc_runs_refuses_what_has_rotted(locked, refusal):
    locked_as_written([METRICS.parent])
    rot(METRICS)
    locked_as_written([Path("runs/other")])
    assert f"dvc checkout {METRICS}" in refusal(locked_as_written, [METRICS.parent])


def test_without_dvc_the_seals_are_read(locked, capsys):
    Path("dvc.lock").unlink()
    rot(Path("data/prepared/mine/train/id.npy"))
    (sentence,) = said(capsys)
    assert sentence.startswith("data/prepared/mine/train/id.npy cannot be used")
    assert "hourglass prepare mine" in sentence


def test_a_card_of_no_seal_is_named(locked, capsys):
    Path("dvc.lock").unlink()
    path = Path("data/prepared/mine/card.json")
    path.write_text("{}")
    assert "bears no seal" in said(capsys)[0]
    write_with_checksum(path, {})
    verify()


def test_an_array_that_rots_is_not_read(locked, refusal):
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
    """Return every file that the pipeline wrote, but for those of times, and dvc.lock."""
    names = [
        name for folder in ("data/prepared", "runs", "reports") for name in project.files(folder)
    ]
    return {name: (project / name).read_bytes() for name in [*names, "dvc.lock"]}


@pytest.mark.slow
def test_of_flipped_bits_none_is_accepted_silently(project, monkeypatch):
    monkeypatch.delenv("HOURGLASS_DATA", raising=False)
    before = contents(project)
    found = flips.flip_bits(project.folder, 200)
    assert sum(row["tries"] for row in found if row["fault"] == "rot") == 200
    assert {row["artefact"] for row in found if row["silent"]} == set()
    assert contents(project) == before
    assert "all is as it was written" in project.hourglass("verify", "--cache").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", ["weights.safetensors", "detector.json", "metrics.json", "run_id", "figures/roc.png"]
)
def test_dvc_mends_what_was_changed(project, file):
    before, path = contents(project), project / f"runs/digits/linear/{file}"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert json.loads(project.run("dvc", "status", "--json").stdout)
    project.run("dvc", "repro", "--quiet")
    assert contents(project) == before


@pytest.mark.slow
def test_what_rotted_is_mended_as_the_sentence_says(project):
    before, path = contents(project), project / "runs/digits/linear/evaluate/metrics.json"
    rot(path)
    assert project.run("dvc", "status").stdout.startswith("Data and pipelines are up to date")
    found = project.hourglass("verify", status=1)
    command = found.stdout.split("`")[1]
    path.unlink()
    project.run(*command.split())
    assert contents(project) == before


@pytest.mark.slow
def test_a_broken_object_of_the_cache_is_named(project):
    path = next((project / ".dvc/cache/files/md5").glob("*/*"))
    path.chmod(0o644)
    rot(path)
    found = project.hourglass("verify", "--cache", status=1)
    assert path.name in found.stdout
    path.unlink()
    project.run("dvc", "repro", "--quiet")
    assert "all is as it was written" in project.hourglass("verify", "--cache").stdout
