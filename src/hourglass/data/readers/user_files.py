"""Helpers for users' files: their location and their labels."""

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import suggest_names

# YAML reads `normal: 0` as a number; labels are compared as text.
ClassNames: TypeAlias = list[str | int] | str | int | None


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


def anomaly_mask(
    labels: np.ndarray, normal: ClassNames, path: Path, column: str | None = None
) -> np.ndarray:
    """Return the mask, (N,) bool, of the (N,) labels that are not among the `normal` ones.

    `column` is the name of a table's column of labels. Raises a UserError if `normal` is empty,
    names an absent label, or names all labels.
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
        omit = "omit `normal`"
        if column is not None:
            omit = f"replace `label` and `normal` by `drop: [{column}]`"
        raise UserError(
            f"`normal` names every label of {path}, {suggest_names('', present)}; name fewer, or "
            f"{omit} if no anomaly is labelled."
        )
    return anomaly


def is_number(text: str) -> bool:
    """Return whether a text can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
