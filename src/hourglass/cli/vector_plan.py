"""The plan of a new data set of vectors, such as activations."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.cli.data_plan import ACTIVATIONS, DataPlan, train_rows
from hourglass.cli.normal_labels import count_anomalies, label_names, label_sentence
from hourglass.cli.roles import Roles
from hourglass.cli.suggested_settings import split_fractions
from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.readers.numpy_files import ONLY
from hourglass.data.readers.user_files import fixed_part
from hourglass.data.readers.vector_files import VectorFile, find_files, open_files
from hourglass.data.readers.vector_formats import PARQUET, SUFFIXES, ArrayHeader, read_headers
from hourglass.data.readers.vector_labels import read_groups, read_labels, side_file

LABEL_NAMES, GROUP_NAMES = ("label", "labels", "y"), ("index", "group")  # of arrays, if not named
MANY_VECTORS = 100_000  # of which a small share is enough to validate, calibrate and test
LARGE_FRACTIONS = {"train": 0.9, "validation": 0.02, "calibration": 0.03,
                   "tuning": 0.02, "test": 0.03}  # fmt: skip


def holds_vectors(path: Path) -> bool:
    """Return whether a file, folder or pattern holds vectors, and neither a table nor images.

    Files of .safetensors always do; .npy and .npz files without `x` do if an array is (N, D), as
    images have three axes or more; Parquet files do if a column holds lists of numbers.
    """
    if path.is_file():
        return _is_vectors(path)
    pattern = fixed_part(str(path)) != path
    if not pattern and not path.is_dir():
        return False
    found = path.parent.glob(path.name) if pattern else path.rglob("*")
    files = [file for file in found if file.is_file() and not file.name.startswith(".")]
    vectors = [file for file in files if file.suffix.lower() in SUFFIXES]
    kinds = {file.suffix.lower() for file in files} - {*SUFFIXES, ".json", ".csv", ".txt", ".md"}
    return bool(vectors) and not kinds and _is_vectors(min(vectors))


def _is_vectors(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return True
    if suffix not in SUFFIXES:
        return False
    try:
        headers = read_headers(path)
    except UserError:
        return False  # the reader of tables or images says what is wrong
    wide = [name for name, header in headers.items() if len(header.shape) == 2]
    if suffix in PARQUET:
        return any(headers[name].is_number for name in wide)
    deep = any(len(header.shape) > 2 for header in headers.values())
    return bool(wide) and not deep and (wide == [ONLY] or "x" not in wide)


def plan_vectors(
    path: Path, roles: Roles, alphas: Sequence[float], scaling: str = "standard"
) -> DataPlan:
    """Inspect files of vectors; raise a UserError if they cannot be used.

    An array named label, labels or y is the label unless the user names another, and one named
    index or group keeps vectors of a group in one split.
    """
    given = replace(roles, label=None, normal=())
    if given.columns or given.drop or given.intervals or given.rows or given.skip_damaged:
        raise UserError(
            f"{path} holds vectors, which have no columns; give no option but --label and --normal."
        )
    beside = None if roles.label is None else side_file(roles.label)
    paths = find_files(str(path), [] if beside is None else [beside.resolve()])
    headers = read_headers(paths[0])
    label = roles.label or next(filter(headers.__contains__, LABEL_NAMES), None)
    group = next((name for name in GROUP_NAMES if _is_group(headers.get(name))), None)
    if roles.normal and label is None:
        raise UserError(
            f"normal is {', '.join(roles.normal)}, but {paths[0]} has no array of labels; name it "
            "with --label."
        )
    files = open_files(paths, None, [name for name in (label, group) if name])
    count = sum(file.count for file in files)
    if group and len(np.unique(read_groups(files, group))) == count:
        group = None  # as without it, copies of a vector stay in one split
    init_args: dict[str, Any] = {"key": files[0].key} if files[0].key else {}
    if beside is not None:
        label = beside.resolve().as_posix()
    init_args |= {key: name for key, name in (("label", label), ("group", group)) if name}
    labels = read_labels(files, label) if label else None
    anomaly = np.zeros(count, bool)
    if labels is not None and roles.normal:
        init_args["normal"] = label_names(labels, roles.normal, path)
        anomaly = ~np.isin(labels, init_args["normal"])
    normal = count - int(anomaly.sum())
    alpha, fractions = split_fractions(normal, alphas)
    if fractions is None and normal >= MANY_VECTORS:
        fractions = LARGE_FRACTIONS
    init_args["scaling"] = scaling
    init_args |= {"fractions": fractions} if fractions else {}
    anomalies = count_anomalies(labels, anomaly) if labels is not None else {}
    content = [_sentence(files, count), label_sentence(init_args, normal, anomalies)]
    if labels is not None and not roles.normal:
        content.append(f"The labels are {label!r}; name the normal ones with --normal.")
    known, rows = labels if roles.normal else None, train_rows(normal, init_args)
    shape = (files[0].width,)
    return DataPlan(ACTIVATIONS, init_args, rows, shape, content, known, alpha)


def _is_group(header: ArrayHeader | None) -> bool:
    is_whole = header is not None and header.is_number and header.dtype.startswith(("int", "uint"))
    return is_whole and header is not None and len(header.shape) == 1


def _sentence(files: Sequence[VectorFile], count: int) -> str:
    in_files = f" in {len(files):,} files" if len(files) > 1 else ""
    numbers = counted(files[0].width, "number")
    return f"{counted(count, 'vector')} of {numbers}, {files[0].header.dtype}{in_files}."
