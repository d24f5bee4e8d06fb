"""Write the reference of the command line, docs/reference/cli.md, from the parsers of the commands.

usage: python scripts/cli_reference.py [FILE]
"""

import re
import sys
from argparse import SUPPRESS, Action
from collections.abc import Iterator
from pathlib import Path

from common import ROOT

from hourglass.cli.commands import ANYWHERE, GROUPS, RENAMED, load
from hourglass.cli.parser import CommandParser, HelpFormatter, docstring_parts

PAGE = ROOT / "docs/reference/cli.md"
INTRODUCTION = """# Command line

`hourglass --help` lists the commands, `hourglass COMMAND --help` describes one. Options may be
written with hyphens or underscores, and before or after the arguments. A switch `--name` is turned
off with `--no-name`. Commands run in the folder of a workspace, with these exceptions: {anywhere}.

| exit status | meaning |
| --- | --- |
| 0 | success |
| 1 | an error that you can fix; the last line of standard error says how |
| 2 | an invalid command line |
| 3 | `hourglass drift --fail` has found drift |
"""


def page() -> str:
    """Return the page as Markdown."""
    anywhere = ", ".join(f"`{name}`" for name in sorted(ANYWHERE)) or "none"
    parts = [INTRODUCTION.format(anywhere=anywhere)]
    for title, names in GROUPS.items():
        parts.append(f"## {title[0].upper()}{title[1:]}\n")
        parts += [part for name in names for part in command(name)]
    old = ", ".join(f"`{old}` (now `{new}`)" for old, new in RENAMED.items())
    return "\n".join([*parts, f"Names of earlier releases still work: {old}.\n"])


def command(name: str) -> Iterator[str]:
    """Yield the section of one command."""
    parser = CommandParser(name, load(name))
    description, examples = docstring_parts(load(name))
    yield f"### hourglass {name}\n\n```text\n{parser.usage}\n```\n\n{escaped(description)}\n"
    shown = [action for action in parser._actions if action.dest != "help"]
    if rows := [row(action, parser) for action in shown if action.help != SUPPRESS]:
        yield "\n".join(["| argument | meaning |", "| --- | --- |", *rows, ""])
    yield f"```sh\n{examples}\n```\n"


def row(action: Action, parser: CommandParser) -> str:
    """Return the table row of an argument."""
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar}`"
    if action.choices or (action.metavar and action.option_strings):
        names = f"{names[:-1]} {action.metavar}`"
    text = " ".join(HelpFormatter(parser.prog)._get_help_string(action).split())
    return f"| {names} | {escaped(text)} |"


def escaped(text: str) -> str:
    """Escape what Markdown would read as a tag, except in code."""
    return re.sub("`[^`]*`|<", lambda found: "&lt;" if found[0] == "<" else found[0], text)


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(), encoding="utf-8")
