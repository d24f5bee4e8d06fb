"""The parser of a command, derived from the signature and docstring of its function."""

import inspect
import re
import textwrap
from argparse import SUPPRESS, Action, ArgumentError
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ActionYesNo, ArgumentParser, DefaultHelpFormatter

from hourglass.core.suggestions import did_you_mean, quote
from hourglass.core.type_errors import alternatives, is_list, type_of, wrong_type

# Arguments that are positional even if they may be omitted, with their usual descriptions.
POSITIONAL = {
    "data": "a data set, by the name of its file in configs/data",
    "model": "a variant, by the name of its file in configs/model",
    "folder": "a folder",
    "target": "a stage",
}
METAVARS = {int: "N", float: "X", Path: "PATH", str: "NAME"}  # by type of an option
SECTIONS = re.compile(r"\n\n {4}(Args|Examples):\n")
UNRECOGNIZED = re.compile(r"Unrecognized arguments: (\S+)")
REJECTED = re.compile(r"argument ([^:/]+)[^:]*: (expected|ignored)")


class CommandLineError(Exception):
    """An invalid command line; the message is a sentence."""


class HelpFormatter(DefaultHelpFormatter):
    """Wrap paragraphs one by one, keep indented lines, and omit types and empty defaults."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.split("\n\n")
        return "\n\n".join(
            paragraph
            if any(line.startswith("  ") for line in paragraph.splitlines())
            else textwrap.fill(" ".join(paragraph.split()), width)
            for paragraph in paragraphs
        )

    def _get_help_string(self, action: Action) -> str:
        text, default = action.help or "", action.default
        if not action.option_strings or default in (None, False, SUPPRESS) or "default" in text:
            return text
        is_list = isinstance(default, list | tuple)
        shown = ",".join(map(str, default)) if is_list else str(default).lower()
        return f"{text} (default: {shown})"


class CommandParser(ArgumentParser):
    """The parser of the command `name`; it raises a CommandLineError for invalid arguments."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        description, examples = docstring_parts(function)
        super().__init__(
            prog=f"hourglass {name}",
            description=description,
            epilog=f"examples:\n{textwrap.indent(examples, '  ')}",
            formatter_class=HelpFormatter,
            exit_on_error=False,
        )
        _add_arguments(self, function)
        # As jsonargparse adds hidden options when it parses, the user's are listed here.
        self.options = [name for name in self._option_string_actions if name.startswith("--")]
        positionals = [action for action in self._actions if not action.option_strings]
        self.positionals = [action.dest for action in positionals]
        self.needed = [action.dest for action in positionals if action.nargs is None]
        words = [f"[{name}]" if name not in self.needed else name for name in self.positionals]
        self.usage = " ".join([self.prog, *map(str.upper, words), "[options]"])
        # jsonargparse reports one missing argument at a time; `parse` reports all.
        self.required_args.clear()
        for action in positionals:
            action.nargs, action.required = "?", False

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the values of all parameters by name; raise a CommandLineError if one is invalid.

        An option may be written with underscores, and a list without brackets.
        """
        try:
            values = self.parse_args(self._normal(words)).as_dict()
        except ArgumentError as error:
            raise CommandLineError(self._message(error)) from None
        missing = [name for name in self.needed if values[name] is None]
        if missing:
            raise CommandLineError(f"missing: {', '.join(missing).upper()}.")
        return values

    def _normal(self, words: Sequence[str]) -> list[str]:
        """Return the words with hyphens in names of options and with brackets around lists."""
        lists = {
            name
            for action in self._actions
            if is_list(type_of(action))
            for name in action.option_strings
        }
        normal: list[str] = []
        for word in words:
            if word.startswith("--"):
                name, equals, value = word.partition("=")
                name = name.replace("_", "-")
                word = (
                    f"{name}={_bracketed(value)}"
                    if equals and name in lists
                    else f"{name}{equals}{value}"
                )
            elif normal and normal[-1] in lists:
                word = _bracketed(word)
            normal.append(word)
        return normal

    def _message(self, error: ArgumentError) -> str:
        """Return the sentence for an error of argparse or jsonargparse."""
        if match := UNRECOGNIZED.match(str(error)):
            word = match[1].partition("=")[0]
            if not word.startswith("-"):
                return f"the argument {quote(word)} is one too many."
            return f"unknown option {quote(word)}; {did_you_mean(word, self.options)}"
        if match := REJECTED.match(str(error)):
            return f"{match[1]} {'needs a value' if match[2] == 'expected' else 'takes no value'}."
        return f"{wrong_type(error, self, {}, self._label)}."

    def _label(self, name: str) -> str:
        """Return the name of an argument as a user writes it."""
        return name.upper() if name in self.positionals else f"--{_hyphened(name)}"


def docstring_parts(function: Callable[..., Any]) -> tuple[str, str]:
    """Return the description and the examples in a function's docstring."""
    text, *rest = SECTIONS.split(function.__doc__ or "")
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    return inspect.cleandoc(text), inspect.cleandoc(sections.get("Examples", "").rstrip())


def _add_arguments(parser: ArgumentParser, function: Callable[..., Any]) -> None:
    """Add the parameters of a function to its parser.

    Required parameters and those in POSITIONAL are positional; all others are options. A
    boolean parameter `name` becomes the options `--name` and `--no-name`.
    """
    parser._positionals.title = "arguments"
    parameters = inspect.signature(function).parameters
    positional = [name for name in POSITIONAL if name in parameters]
    switches = [name for name, value in parameters.items() if value.annotation in (bool, "bool")]
    for name in positional:
        meaning, default = _description(function, name), parameters[name].default
        optional = {} if default is inspect.Parameter.empty else {"nargs": "?", "default": default}
        parser.add_argument(name, type=str, help=meaning or POSITIONAL[name], **optional)
    skip: set[str | int] = {*positional, *switches}
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip=skip)
    for name in switches:
        meaning, default = _description(function, name), parameters[name].default
        switch = ActionYesNo(no_prefix="no-")
        parser.add_argument(f"--{_hyphened(name)}", action=switch, default=default, help=meaning)
    parser._option_string_actions.clear()
    for action in parser._actions:
        names = [_hyphened(name) for name in action.option_strings if not name.endswith("+")]
        action.option_strings = names
        parser._option_string_actions |= dict.fromkeys(names, action)
        action.metavar = _metavar(action)
        if set(alternatives(type_of(action))) == {str, type(None)}:
            # Otherwise the texts null, ~ and #1 would be None, as in YAML.
            vars(action)["_typehint"] = str


def _description(function: Callable[..., Any], name: str) -> str:
    """Return the description of an argument in a docstring, joined to one line."""
    pattern = rf"^ +{name}: (.*(?:\n {{12,}}\S.*)*)$"
    match = re.search(pattern, function.__doc__ or "", re.MULTILINE)
    return " ".join(match.group(1).split()) if match else ""


def _metavar(action: Action) -> Any:
    """Return the placeholder of a value in the help."""
    if not action.option_strings:
        return action.dest.upper()
    hint = type_of(action)
    if is_list(hint):
        return "A,B,..."
    return next(
        (text for kind, text in METAVARS.items() if kind in alternatives(hint)), action.metavar
    )


def _hyphened(name: str) -> str:
    return name.replace("_", "-")


def _bracketed(value: str) -> str:
    return value if value.startswith("[") else f"[{value}]"
