"""Runs of the command line in this process."""

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from hourglass.cli.main import main


def run_main(*words: str) -> tuple[object, str, str]:
    """Return exit status, output and errors of `main`, run in this process for speed."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as output:
        patch.setattr("sys.argv", ["hourglass", *words])
        with redirect_stderr(io.StringIO()) as errors, pytest.raises(SystemExit) as end:
            main()
    return end.value.code, output.getvalue(), errors.getvalue()


def help_of(*words: str) -> str:
    """Return the help of a command, or of all without one, with single spaces."""
    status, output, errors = run_main(*words, "--help")
    assert (status or 0, errors) == (0, "")
    return " ".join(output.split())
