"""The command line: help, names of commands, exit status and messages."""

import inspect
import io
import re
from contextlib import redirect_stderr, redirect_stdout

import pytest

from hourglass.cli.main import COMMANDS, GROUPS, RENAMED, USAGE_STATUS, main
from tests.workspaces import Project

CELL_COMMANDS = ("train", "calibrate-threshold", "evaluate", "tune")
MISSING = {
    "train": "hourglass prepare digits",
    "calibrate-threshold": "hourglass train digits linear",
    "evaluate": "hourglass train digits linear",
    "compare": "hourglass train digits linear",
}


@pytest.fixture(scope="module")
def project(new_project) -> Project:
    """Give a copy of the repository for commands that write nothing to it."""
    project: Project = new_project()
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["linear"])
    return project


def results(project: Project) -> list[str]:
    """Return all files but MLflow's database, locks and bytecode, which precede any check."""
    return [
        name
        for name in project.files(".")
        if not name.startswith("mlflow.db")
        and not name.endswith(".lock")
        and "__pycache__" not in name
    ]


def refused(project: Project, *words: str) -> str:
    """Run a command that must fail with one sentence, status 1 and no file; return the sentence."""
    before = results(project)
    done = project.hourglass(*words, status=1)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("hourglass: ")
    assert line.endswith((".", "?"))
    assert results(project) == before
    return line


def run_main(*words: str) -> tuple[object, str, str]:
    """Return exit status, output and errors of `main` in this process, which starts faster."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as output:
        patch.setattr("sys.argv", ["hourglass", *words])
        with redirect_stderr(io.StringIO()) as errors, pytest.raises(SystemExit) as end:
            main()
    return end.value.code, output.getvalue(), errors.getvalue()


def help_of(*words: str) -> str:
    status, output, errors = run_main(*words, "--help")
    assert (status, errors) == (0, "")
    return " ".join(output.split())


def test_a_process_prints_the_help_and_nothing_else(project):
    printed = project.hourglass("train", "--help")
    assert " ".join(printed.stdout.split()) == help_of("train")
    assert printed.stderr == ""


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


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_prints_the_new_one_and_runs_the_command(old, new):
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
def test_an_unknown_command_is_answered_with_the_nearest_one(name, hint):
    status, _, errors = run_main(name, "digits", "linear")
    assert status == USAGE_STATUS
    assert errors.startswith("usage: hourglass")
    assert f"unknown command {name!r}; {hint}" in errors


@pytest.mark.parametrize("option", ["--heat-maps", "--heat_maps"])
def test_options_are_written_with_hyphens_or_underscores(stage_folder, option):
    words = ("score", "digits", "linear", "a.csv", option)
    assert "heat_maps is -1" in str(run_main(*words, "-1")[0])
    assert "heat_maps is -1" in str(run_main(*words[:-1], f"{option}=-1")[0])


def test_the_value_of_an_option_stays_as_it_is(stage_folder):
    assert "out is a-b;" in str(run_main("score", "digits", "linear", "a.csv", "--out=a-b")[0])


@pytest.mark.parametrize("name", CELL_COMMANDS)
def test_a_command_for_a_cell_takes_the_data_set_then_the_variant(name):
    assert list(inspect.signature(COMMANDS[name]).parameters)[:2] == ["data", "model"]


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_earlier_stage_is_named(project, name):
    words = [] if name == "compare" else ["digits", "linear"]
    assert MISSING[name] in refused(project, name, *words)


def test_an_unknown_data_set_is_refused_with_the_available_ones(project):
    sentence = refused(project, "prepare", "digist")
    assert "digist" in sentence
    assert "breast_cancer, " in sentence


@pytest.mark.parametrize(
    "words", [(), ("train",), ("train", "digits"), ("compare", "digits")], ids=" ".join
)
def test_a_wrong_command_line_is_answered_with_the_usage(words):
    status, _, errors = run_main(*words)
    assert status == USAGE_STATUS
    assert "usage: hourglass" in errors


@pytest.fixture(scope="module")
def prepared(new_project) -> Project:
    """Give a copy in which a data set is prepared."""
    project: Project = new_project()
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["linear"])
    project.hourglass("prepare", "digits")
    return project


def test_an_unknown_variant_is_refused_with_the_available_ones(prepared):
    sentence = refused(prepared, "train", "digits", "denoisng")
    assert "denoisng" in sentence
    assert "denoising" in sentence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "text", "named"),
    [
        ("configs/model/linear.yaml", "class_path: [", "configs/model/linear.yaml"),
        ("configs/model/linear.yaml", "- a list", "configs/model/linear.yaml"),
        ("configs/model/linear.yaml", "class_pat: x", "class_path"),
        ("configs/model/linear.yaml", "class_path: hourglass.models.linear.Linaer", "Linaer"),
        ("configs/model/linear.yaml", "class_path: os.path", "os.path"),
        ("configs/model/linear.yaml", "", "class_path"),
        ("configs/data/digits.yaml", "model: {latent_dm: 3}", "latent_dm"),
        ("configs/trainer/cpu.yaml", "acelerator: cpu", "acelerator"),
        ("configs/trainer/cpu.yaml", "accelerator: abacus", "abacus"),
        ("configs/trainer/cpu.yaml", "{accelerator: gpu, devices: 64}", "gpu"),
        ("params.yaml", "data: [digits]", "required"),
        ("params.yaml", "sead: 1", "sead"),
    ],
)
def test_a_mistake_in_a_file_is_refused_in_one_sentence(prepared, path, text, named):
    before = (prepared / path).read_bytes()
    (prepared / path).write_text(text)
    try:
        assert named in refused(prepared, "train", "digits", "linear")
    finally:
        (prepared / path).write_bytes(before)


@pytest.mark.slow
def test_a_successful_stage_prints_nothing_without_a_terminal(new_project):
    project = new_project()
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["convolutional"])
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.set("configs/data/breast_cancer.yaml", "training", "max_epochs", value=2)
    cell = ["digits", "convolutional"]
    stages = ("prepare", "train", "calibrate-threshold", "evaluate", "baselines", "compare")
    words = {"prepare": ["digits"], "baselines": ["digits"], "compare": []}
    for name in stages:
        done = project.hourglass(name, *words.get(name, cell))
        assert (done.stdout, done.stderr) == ("", ""), name


@pytest.mark.slow
def test_the_console_script_and_the_module_are_the_same_program(project):
    script = project.run("hourglass", "train", "--help").stdout
    module = project.run("python", "-m", "hourglass", "train", "--help").stdout
    folder = project.hourglass("train", "--help").stdout
    assert script == module == folder
