"""Helpers for users' files: their location, their labels, and hints for misspelt names."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from hourglass.core.errors import UserError

# YAML reads `normal: 0` as a number; labels are compared as text.
ClassNames: TypeAlias = list[str | int] | str | int | None
MAX_NAMES_SHOWN = 12  # in a hint


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
            return candidate
    places = " or at ".join(dict.fromkeys(str(candidate.absolute()) for candidate in candidates))
    raise UserError(f"{path} does not exist at {places}; correct `path` or put the data there.")


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
    names = sorted({str(value) for value in available})
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}, " if near else ""
    rest = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
    return f"{hint}available: {', '.join(map(repr, names[:MAX_NAMES_SHOWN]))}{rest}"
