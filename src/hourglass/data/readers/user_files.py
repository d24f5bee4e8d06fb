"""Helpers for users' files: their location, their labels, and hints for misspelt names."""

import difflib
import heapq
import os
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from hourglass.core.errors import UserError

# YAML reads `normal: 0` as a number; labels are compared as text.
ClassNames: TypeAlias = list[str | int] | str | int | None
MAX_NAMES_SHOWN = 12  # in a hint
MAX_NAMES_COMPARED = 10_000  # with a misspelt name, which takes time per name
MAX_QUOTE_CHARACTERS = 40  # of a rejected value in a message
SHORT_REPR = reprlib.Repr()  # does not walk through long or deep values
SHORT_REPR.maxstring = SHORT_REPR.maxother = MAX_QUOTE_CHARACTERS


def resolve_path(path: str) -> Path:
    """Return `path` relative to the working directory or, if it is missing there, to DVC_ROOT.

    DVC sets DVC_ROOT to the project root if it runs an experiment in a copy of the project. Raises
    a UserError if neither path exists.
    """
    local = Path(path).expanduser()
    root = os.environ.get("DVC_ROOT")
    candidates = [local, Path(root) / local] if root else [local]
    for candidate in candidates:
        if candidate.exists():
            check_file_type(candidate)
            return candidate
    places = " or at ".join(dict.fromkeys(str(candidate.absolute()) for candidate in candidates))
    raise UserError(f"{path} does not exist at {places}; correct `path` or put the data there.")


def check_file_type(path: Path) -> None:
    """Raise a UserError for a pipe, a socket or a device, whose reader could wait forever."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(
            f"{path} is a pipe, a socket or a device; write its content to a regular file first."
        )


def anomaly_mask(labels: np.ndarray, normal: ClassNames, path: Path) -> np.ndarray:
    """Return the mask, (N,) bool, of the (N,) labels that are not among the `normal` ones.

    Raises a UserError if `normal` is empty, names an absent label, or names all labels.
    """
    if normal is None or normal == []:
        raise UserError(
            f"`normal` names no label of {path}; name the normal ones, {suggest_names('', labels)}."
        )
    names = [str(name) for name in ([normal] if isinstance(normal, str | int) else normal)]
    present = np.unique(labels)
    for name in names:
        if name not in present:
            raise UserError(
                f"no sample of {path} has the label {name!r} of `normal`: "
                f"{suggest_names(name, present)}; correct `normal`."
            )
    anomaly = ~np.isin(labels, names)
    if not anomaly.any():
        raise UserError(
            f"`normal` names every label of {path}, {suggest_names('', present)}; name fewer, or "
            "omit `normal` and `label` if no anomaly is labelled."
        )
    return anomaly


def suggest_names(name: str, available: Iterable[str]) -> str:
    """Return a hint: the closest match to `name`, if any, and the available names."""
    names = {str(value) for value in available}
    few = sorted(names) if len(names) <= MAX_NAMES_COMPARED else []
    near = difflib.get_close_matches(name, few, n=1)
    hint = f"did you mean {quote(near[0])}, " if near else ""
    rest = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
    shown = ", ".join(map(quote, heapq.nsmallest(MAX_NAMES_SHOWN, names)))
    return f"{hint}available: {shown or 'none'}{rest}"


def is_number(text: str) -> bool:
    """Return whether a text can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def quote(value: Any) -> str:
    """Return a value for a message, cut to MAX_QUOTE_CHARACTERS and without full stops."""
    return SHORT_REPR.repr(value)[:MAX_QUOTE_CHARACTERS].replace(". ", " ")
