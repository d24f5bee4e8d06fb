"""Tests of the command line: help, command names, exit status and messages."""

import inspect
import io
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from hourglass.cli.main import COMMANDS, GROUPS, RENAMED, USAGE_STATUS, main
from tests.cli import IMAGES, TABLE
from tests.cli.files import write_npz, write_table
from tests.workspaces import Project, lean

CELL_COMMANDS = ("calibrate-threshold", "evaluate", "study", "classify", "export", "promote")
FILE_COMMANDS = ("score", "drift", "search", "restore")


def run_main(*words: str) -> tuple[object, str, str]:
    """Return exit status, output and errors of `main`, run in this process for speed."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as output:
        patch.setattr("sys.argv", ["hourglass", *words])
        with redirect_stderr(io.StringIO()) as errors, pytest.raises(SystemExit) as end:
            main()
    return end.value.code, output.getvalue(), errors.getvalue()


def help_of(*words: str) -> str:
    status, output, errors = run_main(*words, "--help")
    assert (status, errors) == (0, "")
    return " ".join(output.split())


def test_the_help_lists_every_command_with_its_summary():
    text = help_of()
    for name, function in COMMANDS.items():
        assert f"{name} {(function.__doc__ or '').splitlines()[0]}" in text
    assert all(title in text for title in GROUPS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_describes_it_and_its_arguments(name):
    text, doc = help_of(name), COMMANDS[name].__doc__ or ""
    assert doc.splitlines()[0] in text
    described = text.partition("positional arguments:")[2] + text.partition("options:")[2]
    for argument in inspect.signature(COMMANDS[name]).parameters:
        assert argument in described
    for line in doc.partition("Args:")[2].strip().splitlines():
        assert " ".join(re.sub(r"^ *\w+:", "", line).split()) in text
    assert "Args:" not in text
    assert "``" not in text


@pytest.mark.parametrize("name", ["train", "prepare"])
def test_the_help_describes_the_arguments_data_and_model(name):
    assert "data a data set, by the name of its file in configs/data" in help_of(name)
    variant = "model a variant, by the name of its file in configs/model"
    assert (variant in help_of(name)) == (name == "train")


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


@pytest.mark.parametrize(
    "words", [(), ("train",), ("train", "digits"), ("compare", "digits")], ids=" ".join
)
def test_an_invalid_command_line_prints_the_usage(words):
    status, _, errors = run_main(*words)
    assert status == USAGE_STATUS
    assert "usage: hourglass" in errors


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
    (line,) = done.stderr.splitlines()
    assert line.startswith("hourglass: ")
    assert line.endswith((".", "?"))
    assert not project.files("runs")
    return line


def test_an_unknown_data_set_or_variant_is_an_error_that_lists_the_available_ones(project):
    error = error_of(project, "prepare", "digist")
    assert "digist" in error
    assert "breast_cancer, " in error
    error = error_of(project, "train", "digits", "denoisng")
    assert "denoisng" in error
    assert "denoising" in error


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
        assert (done.stdout, done.stderr) == ("", ""), name
    done = project.hourglass("label-errors", "digits", "--folds", "2", "--top", "5")
    assert done.stderr == ""
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
