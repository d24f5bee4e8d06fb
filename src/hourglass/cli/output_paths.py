"""Checks of the output path of a command."""

from collections.abc import Sequence
from pathlib import Path

from hourglass.core.errors import UserError


def check_output(out: Path, suffixes: Sequence[str], source: Path, *also_written: Path) -> None:
    """Raise a UserError if `out` has another suffix, or if `source` would be overwritten.

    `source` is the input of the command. `also_written` are further outputs; a folder among them is
    replaced with all its files.
    """
    if out.suffix not in suffixes:
        raise UserError(f"out is {out}; give a file that ends in {' or '.join(suffixes)}.")
    file = source.resolve()
    if {path.resolve() for path in (out, *also_written)} & {file, *file.parents}:
        raise UserError(f"out is {out}, which would overwrite {source}; name another file.")
