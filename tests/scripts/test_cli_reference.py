"""The reference page of the command line."""

import re

from cli_reference import escaped, page

from hourglass.cli.commands import COMMANDS, load
from hourglass.cli.parser import CommandParser, docstring_parts


def test_the_page_has_every_command_with_its_options_and_examples():
    sections = dict(re.findall(r"(?ms)^### hourglass (\S+)\n(.*?)(?=^##|\Z)", page()))
    assert sections.keys() == COMMANDS.keys()
    for name, text in sections.items():
        parser = CommandParser(name, load(name))
        assert f"\n{parser.usage}\n" in text
        rows = re.findall(r"(?m)^\| (`.*`) \| (.+) \|$", text)
        assert len(rows) == text.count("\n| ") - 2 * bool(rows)
        named = set(re.findall(r"`(--[\w-]+|[A-Z_]+)", " ".join(row[0] for row in rows)))
        assert named == {*parser.options, *map(str.upper, parser.positionals)} - {"--help"}
        assert f"```sh\n{docstring_parts(load(name))[1]}\n```" in text


def test_only_text_outside_code_is_escaped():
    assert escaped("<a> `<b>` <") == "&lt;a> `<b>` &lt;"
