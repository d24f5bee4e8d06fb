"""Checks of the output path of a command."""

from collections.abc import Sequence
from pathlib import Path

from hourglass.core.errors import UserError


def name_of(file: Path) -> str:
    """Return a name for outputs about an input file: its stem, or that of a pattern's folder."""
    from hourglass.data.readers.user_files import fixed_part

    fixed = fixed_part(str(file))
    return fixed.stem or fixed.resolve().name


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
