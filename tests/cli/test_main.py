"""The command line: what a person types, and what comes back."""

import inspect
import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from hourglass.cli.main import VERBS, main
from tests.workspaces import Project

ON_A_CELL = ("train", "calibrate-threshold", "evaluate", "tune")
MISSING = {
    "train": "hourglass prepare digits",
    "calibrate-threshold": "hourglass train digits linear",
    "evaluate": "hourglass train digits linear",
    "compare": "hourglass evaluate digits linear",
}


@pytest.fixture(scope="module")
def project(new_project) -> Project:
    """Give a copy of the repository for commands that write nothing to it."""
    project: Project = new_project()
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["linear"])
    return project


def results(project: Project) -> list[str]:
    """Return all files but MLflow's database and locks, made before all is known to be well.

    Nor Python's bytecode, of which it writes some wherever it may.
    """
    return [
        name
        for name in project.files(".")
        if not name.startswith("mlflow.db")
        and not name.endswith(".lock")
        and "__pycache__" not in name
    ]


def refused(project: Project, *words: str) -> str:
    """Run a verb that must be refused: one sentence, status 1, no file; return the sentence."""
    before = results(project)
    found = project.hourglass(*words, status=1)
    assert found.stdout == ""
    (line,) = found.stderr.splitlines()
    assert line.startswith("hourglass: ")
    assert line.endswith((".", "?"))
    assert results(project) == before
    return line


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """Give the help of every verb, and of none."""
    return {verb: help_of(*filter(None, [verb])) for verb in ("", *VERBS)}


def help_of(*words: str) -> str:
    """Return what this process would print: to start one a verb takes long."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as said:
        patch.setattr("sys.argv", ["hourglass", *words, "--help"])
        with redirect_stderr(io.StringIO()) as errors, pytest.raises(SystemExit) as end:
            main()
    assert (end.value.code, errors.getvalue()) == (0, "")
    return said.getvalue()


def test_a_process_prints_the_help_and_nothing_else(project, helps):
    printed = project.hourglass("train", "--help")
    assert printed.stdout.split() == helps["train"].split()
    assert printed.stderr == ""


def test_the_help_names_every_verb_and_what_it_does(helps):
    for verb, function in VERBS.items():
        assert verb in helps[""]
        first = (function.__doc__ or "").splitlines()[0]
        assert first in " ".join(helps[""].split())


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_names_its_arguments(helps, verb):
    for name in inspect.signature(VERBS[verb]).parameters:
        assert (
            name
            in helps[verb].partition("positional arguments:")[2]
            + helps[verb].partition("options:")[2]
        )


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_says_what_its_arguments_mean(helps, verb):
    text = " ".join(helps[verb].split())
    for line in (VERBS[verb].__doc__ or "").partition("Args:")[2].strip().splitlines():
        assert " ".join(line.partition(":")[2].split()) in text


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_begins_with_what_it_does(helps, verb):
    first = (VERBS[verb].__doc__ or "").splitlines()[0]
    assert first in " ".join(helps[verb].split())


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_holds_no_traces_of_the_docstring_s_markup(helps, verb):
    assert "Args:" not in helps[verb]
    assert "``" not in helps[verb]


@pytest.mark.parametrize("verb", ON_A_CELL)
def test_a_verb_on_a_cell_takes_the_data_set_then_the_variant(verb):
    assert list(inspect.signature(VERBS[verb]).parameters)[:2] == ["data", "model"]


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb in MISSING])
def test_a_missing_earlier_stage_is_named(project, verb):
    words = [] if verb == "compare" else ["digits", "linear"]
    assert MISSING[verb] in refused(project, verb, *words)


def test_an_unknown_data_set_is_refused_with_those_there_are(project):
    sentence = refused(project, "prepare", "digist")
    assert "digist" in sentence
    assert "breast_cancer, " in sentence


@pytest.mark.parametrize("name", ["../digits", "/etc", "", "a b"])
def test_a_name_that_could_leave_its_folder_is_refused(project, name):
    refused(project, "prepare", name)


@pytest.mark.parametrize(
    "words",
    [(), ("train",), ("train", "digits"), ("trian", "digits", "linear"), ("compare", "digits")],
    ids=" ".join,
)
def test_a_wrong_command_is_answered_with_the_usage(project, words):
    found = project.hourglass(*words, status=None)
    assert found.returncode not in (0, 1)
    assert "usage: hourglass" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.fixture(scope="module")
def prepared(new_project) -> Project:
    """Give a copy in which a data set is prepared."""
    project: Project = new_project()
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["linear"])
    project.hourglass("prepare", "digits")
    return project


def test_an_unknown_variant_is_refused_with_those_there_are(prepared):
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
def test_a_stage_that_goes_well_is_quiet_where_there_is_no_terminal(new_project):
    project = new_project()
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["convolutional"])
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    project.set("configs/data/breast_cancer.yaml", "training", "max_epochs", value=2)
    cell = ["digits", "convolutional"]
    stages = ("prepare", "train", "calibrate-threshold", "evaluate", "baselines", "compare")
    words = {"prepare": ["digits"], "baselines": ["digits"], "compare": []}
    for verb in stages:
        found = project.hourglass(verb, *words.get(verb, cell))
        assert (found.stdout, found.stderr) == ("", ""), verb


@pytest.mark.slow
def test_the_console_script_and_the_module_are_the_same_program(project):
    script = project.run("hourglass", "train", "--help").stdout
    module = project.run("python", "-m", "hourglass", "train", "--help").stdout
    folder = project.hourglass("train", "--help").stdout
    assert script == module == folder
