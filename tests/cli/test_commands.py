"""Properties of every command: its help, its examples, its options and its imports."""

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hourglass.cli.commands import ANYWHERE, COMMANDS, GROUPS, load
from hourglass.cli.main import USAGE_STATUS
from hourglass.cli.parser import CommandParser, docstring_parts
from hourglass.core.paths import CONFIGS
from hourglass.core.suggestions import nearest_name
from tests.cli.command_line import help_of, run_main
from tests.workspaces import environment

# Libraries that take most of a second to import.
HEAVY = ("torch", "mlflow", "optuna", "pandas", "sklearn", "matplotlib", "pytorch_lightning", "dvc")
IMPORTED_BY_HELP = """
import sys
from hourglass.cli.commands import COMMANDS, load
from hourglass.cli.main import overview
overview()
assert not set(sys.modules) & {"jsonargparse", "numpy"}
from hourglass.cli.parser import CommandParser
for name in COMMANDS:
    CommandParser(name, load(name)).format_help()
    print(name, *set(sys.modules) & set(sys.argv[1:]))
"""
EVERY_COMMAND = pytest.mark.parametrize("name", COMMANDS)


def parser_of(name: str) -> CommandParser:
    return CommandParser(name, load(name))


def arguments_for(name: str) -> list[str]:
    """Return a valid word for each required argument of a command."""
    valid = {"data": "digits", "model": "linear"}
    return [valid.get(argument, "new.csv") for argument in parser_of(name).needed]


def test_the_help_lists_every_command_of_every_group_with_its_summary():
    text = help_of()
    for name in COMMANDS:
        assert f" {name} {(load(name).__doc__ or '').splitlines()[0]}" in text
    titles = [text.index(f"{title}:") for title in GROUPS]
    assert titles == sorted(titles)


@EVERY_COMMAND
def test_the_help_describes_the_command_and_its_arguments(name):
    text, doc = help_of(name), load(name).__doc__ or ""
    assert doc.splitlines()[0] in text
    for argument in inspect.signature(load(name)).parameters:
        is_positional = argument in parser_of(name).positionals
        assert (argument.upper() if is_positional else f"--{argument.replace('_', '-')}") in text
    described = doc.partition("Args:")[2].partition("Examples:")[0]
    for line in described.strip().splitlines():
        assert " ".join(re.sub(r"^ *\w+:", "", line).split()) in text
    for jargon in ("Args:", "``", "type:", "<class", "null"):
        assert jargon not in text
    assert not re.search(r"--\w+_", text)


@pytest.mark.parametrize("name", ["train", "prepare"])
def test_the_help_describes_the_arguments_data_and_model(name):
    assert "DATA a data set, by the name of its file in configs/data" in help_of(name)
    variant = "MODEL a variant, by the name of its file in configs/model"
    assert (variant in help_of(name)) == (name == "train")


@EVERY_COMMAND
def test_the_examples_are_valid_command_lines_for_existing_cells(name):
    examples = docstring_parts(load(name))[1].splitlines()
    assert examples
    assert all(line in help_of(name) for line in examples)
    for line in examples:
        program, command, *words = shlex.split(line)
        assert (program, command) == ("hourglass", name)
        values = parser_of(name).parse(words)
        for argument in {"data", "model"} & values.keys():
            for part in filter(None, [values[argument]]):
                if ":" in part:  # a network of torchvision
                    continue
                files = [CONFIGS / argument / f"{word}.yaml" for word in part.split("/")[:1]]
                assert all(map(Path.exists, files)), line


@EVERY_COMMAND
def test_an_option_with_a_missing_letter_gets_the_nearest_name(name):
    options = parser_of(name).options
    for option in options:
        typo = option[:3] + option[4:]
        if len(option) > 5 and typo not in options:
            status, output, errors = run_main(name, *arguments_for(name), f"{typo}=")
            assert (status, output) == (USAGE_STATUS, "")
            assert (
                f"unknown option {typo!r}; did you mean {nearest_name(typo, options)!r}?" in errors
            )


@EVERY_COMMAND
def test_a_command_outside_a_workspace_says_so(name, tmp_path, monkeypatch):
    if name in ANYWHERE:
        pytest.skip("it needs no workspace")
    monkeypatch.chdir(tmp_path)
    message = str(run_main(name, *arguments_for(name))[0])
    assert "is not a workspace" in message
    assert "`hourglass init DIR`" in message
    assert list(tmp_path.iterdir()) == []


def test_a_command_in_a_folder_of_a_workspace_names_the_workspace(stage_folder, monkeypatch):
    folder = stage_folder / "data/own"
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(folder)
    message = str(run_main("train", "digits", "linear")[0])
    assert f"inside the workspace {stage_folder}" in message
    assert "`cd ../..`" in message


def test_help_imports_no_heavy_library():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_BY_HELP, *HEAVY],
        env=environment(PYTHONPATH=":".join(sys.path)), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(COMMANDS)
