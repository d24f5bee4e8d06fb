"""Helpers for users' files: their location and their labels."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import suggest_names
from hourglass.data.large_arrays import new_array, parts
from hourglass.data.streaming import release_pages

# YAML reads `normal: 0` as a number and `normal: yes` as a truth value.
ClassName: TypeAlias = bool | int | float | str
ClassNames: TypeAlias = list[ClassName] | ClassName | None
# Labels that YAML reads as truth values, in lower case.
TRUE_NAMES = ("true", "yes", "on", "y", "t", "1", "1.0")
FALSE_NAMES = ("false", "no", "off", "n", "f", "0", "0.0")


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


def resolve_table(path: str | Sequence[str]) -> list[Path]:
    """Return the paths of a table as `resolve_path` does; a pattern such as "a/*.csv" is kept."""
    resolved = []
    for text in [path] if isinstance(path, str) else path:
        pattern, fixed = Path(text).expanduser(), fixed_part(text)
        root = os.environ.get("DVC_ROOT")
        if fixed == pattern:
            resolved.append(resolve_path(text))
        elif root and not any(fixed.glob(str(pattern.relative_to(fixed)))):
            resolved.append(Path(root) / pattern)
        else:
            resolved.append(pattern)
    return resolved


def fixed_part(path: str) -> Path:
    """Return the part of a path before the first wildcard; all of it if the path exists."""
    whole = Path(path).expanduser()
    parts = whole.parts
    if whole.exists():
        return whole
    wild = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    return Path(*parts[:wild])


def check_file_type(path: Path) -> None:
    """Raise a UserError for a pipe, a socket or a device, whose reader could wait forever."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a null character
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(
            f"{path} is a pipe, a socket or a device; write its content to a regular file first."
        )


def anomaly_mask(
    labels: np.ndarray,
    normal: ClassNames,
    path: Path,
    column: str | None = None,
    may_be_all: bool = False,
) -> np.ndarray:
    """Return the mask, (N,) bool, of the (N,) labels that are not among the `normal` ones.

    `column` is the name of a table's column of labels. Raises a UserError if `normal` is empty,
    names an absent label, or names all labels unless `may_be_all` is set.
    """
    present = unique_labels(labels)
    if normal is None or normal == []:
        raise UserError(
            f"`normal` names no label of {path}; name the normal ones, "
            f"{suggest_names('', present)}."
        )
    names = list[str]()
    for name in normal if isinstance(normal, list | tuple) else [normal]:
        found = matching_labels(name, present.tolist())
        if not found:
            raise UserError(
                f"no sample of {path} has the label {str(name)!r} of `normal`: "
                f"{suggest_names(str(name), present)}; correct `normal`."
            )
        names += found
    anomaly = new_array(labels.shape, bool)
    for part in parts(labels):
        anomaly[part] = ~np.isin(labels[part], names)
        release_pages(labels)
    if not (may_be_all or anomaly.any()):
        omit = "omit `normal`"
        if column is not None:
            omit = f"replace `label` and `normal` by `drop: [{column}]`"
        raise UserError(
            f"`normal` names every label of {path}, {suggest_names('', present)}; name fewer, or "
            f"{omit} if no anomaly is labelled."
        )
    return anomaly


def unique_labels(labels: np.ndarray) -> np.ndarray:
    """Return the sorted unique labels of (N,) str."""
    found = [np.unique(labels[:0])]
    for part in parts(labels):
        found = [np.unique(np.concatenate([*found, np.unique(labels[part])]))]
        release_pages(labels)
    return found[0]


def matching_labels(name: ClassName, present: Sequence[str]) -> list[str]:
    """Return the labels of a file that equal a value of the settings; [] if there is none.

    Text equals the same text, a number equal numbers (0 is 0.0), and a truth value its words: YAML
    reads `yes` as true.
    """
    text = str(name)
    if text in present and not isinstance(name, bool):
        return [text]
    if isinstance(name, bool):
        words = TRUE_NAMES if name else FALSE_NAMES
        return next((same for word in words if (same := _in_any_case(word, present))), [])
    if is_number(text):
        return [label for label in present if is_number(label) and float(label) == float(text)]
    return _in_any_case(text, present) if text.lower() in ("true", "false") else []


def _in_any_case(word: str, labels: Sequence[str]) -> list[str]:
    return [label for label in labels if label.lower() == word]


def is_number(text: str) -> bool:
    """Return whether a text can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
