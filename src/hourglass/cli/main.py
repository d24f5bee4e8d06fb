"""The command line: find the command, parse its arguments, run it, and report errors."""

import os
import shutil
import sys
import textwrap
from typing import NoReturn

from hourglass.cli.commands import ANYWHERE, COMMANDS, GROUPS, RENAMED, load, summary
from hourglass.core.errors import UserError, operating_system_error
from hourglass.core.installation import installed_version
from hourglass.core.paths import require_workspace
from hourglass.core.suggestions import nearest_name

USAGE = "hourglass COMMAND ..."
READER_ENDED_STATUS = 141  # as of a program that SIGPIPE has ended
INTERRUPTED_STATUS = 130  # as of a program that SIGINT has ended
USAGE_STATUS = 2  # exit status for an invalid command line; a UserError exits with 1


def program() -> None:
    """Run the command line; skip Python's slow exit unless other processes depend on it."""
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has ended, as in `hourglass verify | head`
        _discard_output()
        sys.exit(READER_ENDED_STATUS)
    except OSError as error:  # the output cannot be written, as in `hourglass verify > /dev/full`
        _discard_output()
        _exit_with_message(error)
    is_rank = bool({"WORLD_SIZE", "SLURM_NTASKS"} & os.environ.keys())
    if not (is_rank or "torch._inductor.async_compile" in sys.modules):  # compile workers
        sys.stderr.flush()
        os._exit(0)  # safe: all files are written; unloading torch takes a second


def main() -> None:
    """Run the command in sys.argv; print the message of a UserError and exit with status 1."""
    try:
        name, *words = _command_line(sys.argv[1:])
        _run(name, words)
    except UserError as error:
        sys.exit(f"hourglass: {error}")
    except KeyboardInterrupt:
        print("hourglass: interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED_STATUS)
    except Exception as error:
        _exit_with_message(error)


def _exit_with_message(error: Exception) -> NoReturn:
    """Exit with the message of an operating-system error; raise any other error again."""
    message = operating_system_error(error)
    if message is None:
        raise error
    sys.exit(f"hourglass: {message}")


def _discard_output() -> None:
    """Redirect standard output to the null device, since Python flushes it at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(name: str, words: list[str]) -> None:
    """Parse the arguments of a command and call its function."""
    from hourglass.cli.parser import CommandLineError, CommandParser

    function = load(name)
    parser = CommandParser(name, function)
    try:
        arguments = parser.parse(words)
    except CommandLineError as error:
        _exit_with_usage(parser.usage or "", f"{error} See `hourglass {name} --help`.")
    if name not in ANYWHERE:
        require_workspace()
    function(**arguments)


def _command_line(words: list[str]) -> list[str]:
    """Return the command and its arguments; exit for help, version and an unknown command."""
    first, *rest = words or [""]
    if first == "help" and rest:
        first, rest = rest[0], ["--help"]
    if first in ("-h", "--help", "help"):
        print(overview())
        sys.exit()
    if first in ("-V", "--version"):
        print(f"hourglass {installed_version()}")
        sys.exit()
    name = first.replace("_", "-")
    if name in RENAMED:
        print(f"hourglass: `{name}` is now called `{RENAMED[name]}`.", file=sys.stderr, flush=True)
        name = RENAMED[name]
    if name not in COMMANDS:
        near = nearest_name(name, COMMANDS)
        hint = f"did you mean {near!r}?" if near else "`hourglass --help` lists the commands."
        problem = f"unknown command {first!r}; {hint}" if first else f"no command is given; {hint}"
        _exit_with_usage(USAGE, problem)
    return [name, *rest]


def _exit_with_usage(usage: str, sentence: str) -> NoReturn:
    print(f"usage: {usage}\nhourglass: {sentence}", file=sys.stderr)
    sys.exit(USAGE_STATUS)


def overview() -> str:
    """Return the text of `hourglass --help`: the commands by group, each with its summary line."""
    lines = [f"usage: {USAGE}\n", "Train, calibrate, evaluate, tune and compare autoencoders."]
    width = max(map(len, COMMANDS))
    columns, indent = shutil.get_terminal_size().columns, " " * (width + 4)
    for title, names in GROUPS.items():
        lines.append(f"\n{title}:")
        for name in names:
            text, first = summary(name), f"  {name:{width}}  "
            lines.append(
                textwrap.fill(text, columns, initial_indent=first, subsequent_indent=indent)
            )
    lines.append("\n`hourglass COMMAND --help` describes a command and gives examples.")
    return "\n".join(lines)
