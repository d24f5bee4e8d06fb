"""Find the user's own files, and tell normal from anomalous by the labels in them."""

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.readers.messages import known_names

# YAML reads `normal: 0` as a number; labels are compared as text.
Names: TypeAlias = list[str | int] | str | int | None


def locate(path: str) -> Path:
    """Return `path` below the working directory or, where it is not there, below DVC_ROOT.

    DVC sets DVC_ROOT to the project where it runs an experiment in a copy of it. A UserError where
    the file or folder is in neither place.
    """
    here = Path(path).expanduser()
    root = os.environ.get("DVC_ROOT")
    candidates = [here, Path(root) / here] if root else [here]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    places = " nor at ".join(str(candidate.absolute()) for candidate in candidates)
    raise UserError(f"{path} is not at {places}; correct `path` or put the data there.")


def anomalous(labels: np.ndarray, normal: Names, path: Path) -> np.ndarray:
    """Return as (N,) bool which of the (N,) labels are not among the `normal` ones.

    A UserError where `normal` names no label, one that does not occur, or all that do.
    """
    if normal is None or normal == []:
        raise UserError(
            f"`normal` names no label of {path}: {known_names('', labels)}; name those that are "
            "normal."
        )
    names = [str(name) for name in ([normal] if isinstance(normal, str | int) else normal)]
    present = np.unique(labels)
    for name in names:
        if name not in present:
            raise UserError(
                f"No sample of {path} has the label {name!r} that `normal` names: "
                f"{known_names(name, present)}; name those that are normal."
            )
    anomaly = ~np.isin(labels, names)
    if not anomaly.any():
        raise UserError(
            f"Every sample of {path} is normal, as `normal` names all of its labels: "
            f"{known_names('', present)}; name fewer of them, or leave `normal` and `label` out "
            "where no anomaly is known."
        )
    return anomaly
