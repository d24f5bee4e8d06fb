"""Tests of the command line: command names, exit status and messages."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from hourglass.cli.commands import RENAMED, load
from hourglass.cli.main import READER_ENDED_STATUS, USAGE_STATUS
from hourglass.cli.parser import CommandParser
from tests.cli import IMAGES, TABLE
from tests.cli.command_line import help_of, run_main
from tests.cli.files import write_npz, write_table
from tests.workspaces import ROOT, Project, environment, lean, without_progress

CELL_COMMANDS = ("calibrate-threshold", "evaluate", "study", "classify", "export", "promote")
FILE_COMMANDS = ("score", "drift", "search", "restore")


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_command_name_prints_the_new_one_and_runs_the_command(old, new):
    status, output, errors = run_main(old, "--help")
    assert status == 0
    assert output == run_main(new, "--help")[1]
    assert errors == f"hourglass: `{old}` is now called `{new}`.\n"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("trian", "did you mean 'train'?"),
        ("label_errrors", "did you mean 'label-errors'?"),
        ("xyz", "`hourglass --help` lists the commands."),
    ],
)
def test_an_unknown_command_suggests_the_nearest_one(name, hint):
    status, _, errors = run_main(name, "digits", "linear")
    assert status == USAGE_STATUS
    assert errors.startswith("usage: hourglass")
    assert f"unknown command {name!r}; {hint}" in errors


def test_the_version_is_that_of_the_package():
    status, output, errors = run_main("--version")
    assert (status, output, errors) == (None, f"hourglass {version('hourglass')}\n", "")


@pytest.mark.parametrize(
    "variables", [{"PYTHONUNBUFFERED": ""}, {"PYTHONUNBUFFERED": "1"}], ids=str
)
def test_a_reader_that_ends_early_gets_no_traceback(variables):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "hourglass", "--help"],
        env=environment(PYTHONPATH=str(ROOT / "src"), **variables),
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (READER_ENDED_STATUS, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "variables", [{"PYTHONUNBUFFERED": ""}, {"PYTHONUNBUFFERED": "1"}], ids=str
)
@pytest.mark.parametrize("word", ["--version", "--help"])
def test_output_that_cannot_be_written_gets_no_traceback(word, variables):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hourglass", word],
            env=environment(PYTHONPATH=str(ROOT / "src"), **variables),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("hourglass: The disk is full;")
    assert done.stderr.count("\n") == 1


def test_help_of_a_command_is_its_help_option():
    assert run_main("help", "train") == run_main("train", "--help")


SCORE = ("score", "digits", "linear", "a.csv")
CLASSIFY = ("classify", "digits", "linear")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "no command is given"),
        (("train",), "missing: DATA, MODEL."),
        (("train", "digits"), "missing: MODEL."),
        (("compare", "digits"), "the argument 'digits' is one too many."),
        ((*SCORE, "--heat-map", "3", "--treshold"), "unknown option '--treshold'; available:"),
        ((*SCORE, "--hat-maps=3"), "unknown option '--hat-maps'; did you mean '--heat-maps'?"),
        ((*SCORE, "--top"), "--top needs a value."),
        ((*SCORE, "--resize=maybe"), "--resize takes no value."),
        ((*SCORE, "--top", "ten"), "--top is 'ten', but must be a whole number."),
        ((*SCORE, "--false-discovery-rate=x"), "--false-discovery-rate is 'x', but must be a num"),
        ((*SCORE, "--missing", "skp"), "one of use, refuse, skip (did you mean 'skip'?)."),
        ((*CLASSIFY, "--labels", "9,x"), "--labels is 'x', but must be a list of whole numbers."),
        ((*CLASSIFY, "--classifiers", "[nkn]"), "(did you mean 'knn'?)."),
    ],
    ids=str,
)
def test_an_invalid_command_line_prints_usage_and_one_sentence(words, sentence):
    status, output, errors = run_main(*words)
    assert (status, output) == (USAGE_STATUS, "")
    usage, line = errors.splitlines()
    assert usage.startswith("usage: hourglass")
    assert line.startswith(f"hourglass: {sentence}") or sentence in line
    assert "<class" not in line


@pytest.mark.parametrize("text", ["null", "~", "#1", "no", "0.0", "2024-01-01", "[a]", "- x", ""])
def test_an_option_for_text_takes_any_text(text):
    parser = CommandParser("try", load("try"))
    assert parser.parse(["x.csv", "--label", text])["label"] == text


def test_a_number_of_the_wrong_kind_is_quoted_as_it_was_given():
    status, _, errors = run_main("ui", "--port", "1e3")
    assert status == USAGE_STATUS
    assert "--port is '1e3', but must be a whole number." in errors


def test_a_list_needs_no_brackets():
    parser = CommandParser("classify", load("classify"))
    for words in (["--labels", "9,10"], ["--labels=[9,10]"], ["--labels", "[9, 10]"]):
        assert parser.parse(["digits", "linear", *words])["labels"] == [9, 10]
    assert parser.parse(["digits", "linear", "--classifiers", "knn"])["classifiers"] == ["knn"]


def test_a_switch_is_turned_off_with_hyphens_or_underscores():
    parser = CommandParser("tune", load("tune"))
    for word, value in (("--mlflow", True), ("--no-mlflow", False), ("--no_mlflow", False)):
        assert parser.parse(["digits", "linear", word])["mlflow"] is value


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--heat-maps", "-1"), "heat_maps is -1"),
        (("--heat_maps", "-1"), "heat_maps is -1"),
        (("--heat-maps=-1",), "heat_maps is -1"),
        (("--out=a-b",), "out is a-b;"),
    ],
    ids=str,
)
def test_hyphens_equal_underscores_in_option_names_but_not_in_values(stage_folder, words, message):
    assert message in str(run_main("score", "digits", "linear", "a.csv", *words)[0])


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("train", "digits", "linear"), "hourglass prepare digits"),
        (("baselines", "digits"), "hourglass prepare digits"),
        (("references", "digits"), "hourglass prepare digits"),
        (("label-errors", "digits"), "hourglass prepare digits"),
        (("compare",), "hourglass train digits"),
        (("record", "digits", "linear"), "hourglass train digits linear"),
        *(((name, "digits", "linear"), "hourglass train digits linear") for name in CELL_COMMANDS),
        *(
            ((name, "digits", "linear", "x"), "hourglass train digits linear")
            for name in FILE_COMMANDS
        ),
    ],
    ids=str,
)
def test_a_command_names_the_missing_earlier_stage_and_writes_nothing(stage_folder, words, missing):
    before = sorted(Path().rglob("*"))
    status, output, _ = run_main(*words)
    assert f"run `{missing}" in str(status)
    assert output == ""
    written = {path for path in Path().rglob("*") if path not in before}
    assert {path for path in written if path.suffix != ".lock"} <= {Path("checkpoints")}


# Commands in processes of their own


@pytest.fixture(scope="module")
def project(new_project) -> Project:
    """Return a project with a prepared data set and a grid of one cell."""
    project: Project = new_project()
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["convolutional"])
    project.hourglass("prepare", "digits")
    return project


def error_of(project: Project, *words: str) -> str:
    """Run a command that must fail with a one-line error and without outputs; return the error."""
    done = project.hourglass(*words, status=1)
    assert done.stdout == ""
    (line,) = without_progress(done.stderr)
    assert line.startswith("hourglass: ")
    assert line.endswith((".", "?"))
    assert not project.files("runs")
    return line


@pytest.mark.slow
def test_an_unknown_data_set_or_variant_is_an_error_of_a_process(project):
    assert "did you mean 'digits'?" in error_of(project, "prepare", "digist")
    assert "did you mean 'denoising'?" in error_of(project, "train", "digits", "denoisng")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "text", "named"),
    [
        ("configs/model/linear.yaml", "class_path: [", "configs/model/linear.yaml"),
        ("configs/model/linear.yaml", "class_path: hourglass.models.linear.Linaer", "Linaer"),
        ("configs/trainer/cpu.yaml", "accelerator: abacus", "abacus"),
        ("configs/trainer/cpu.yaml", "{accelerator: gpu, devices: 64}", "gpu"),
        ("params.yaml", "sead: 1", "sead"),
    ],
)
def test_an_invalid_settings_file_is_reported_in_one_sentence(project, path, text, named):
    before = (project / path).read_bytes()
    (project / path).write_text(text)
    try:
        assert named in error_of(project, "train", "digits", "linear")
    finally:
        (project / path).write_bytes(before)


@pytest.mark.slow
def test_the_console_script_and_the_module_are_the_same_program(project):
    script = project.run("hourglass", "train", "--help")
    module = project.run("python", "-m", "hourglass", "train", "--help")
    folder = project.hourglass("train", "--help")
    assert script.stdout == module.stdout == folder.stdout
    assert " ".join(folder.stdout.split()) == help_of("train")
    assert folder.stderr == ""


@pytest.mark.slow
def test_a_command_without_a_terminal_prints_only_its_result(new_project):
    project = new_project()
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["convolutional"])
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=1)
    cell = ["digits", "convolutional"]
    words = {"prepare": ["digits"], "baselines": ["digits"], "compare": []}
    for name in ("prepare", "train", "calibrate-threshold", "evaluate", "baselines", "compare"):
        done = project.hourglass(name, *words.get(name, cell))
        assert (done.stdout, without_progress(done.stderr)) == ("", []), name
    done = project.hourglass("label-errors", "digits", "--folds", "2", "--top", "5")
    assert without_progress(done.stderr) == []
    assert done.stdout.count("digits/") == 5


@pytest.mark.slow
@pytest.mark.parametrize("name", FILE_COMMANDS)
def test_commands_on_new_samples_need_neither_lightning_nor_mlflow(
    cells, tmp_path, rows, images, name
):
    table, array = write_table(rows, tmp_path / "new.csv"), write_npz(images, tmp_path)
    words, out = {
        "score": ((*TABLE, table), "out.csv"),
        "drift": ((*TABLE, table), "out.json"),
        "search": ((*TABLE, "breast_cancer/0"), "out.csv"),
        "restore": ((*IMAGES, array), "out/39.png"),
    }[name]
    target = tmp_path / Path(out).parts[0]
    lean(cells, name, *map(str, words), "--out", str(target))
    assert (tmp_path / out).exists()
