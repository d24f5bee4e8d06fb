"""The plan of a new data set: the content of its file, and settings that suit it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.cli.name_lists import format_names
from hourglass.cli.normal_labels import (
    LABEL_WORDS,
    count_anomalies,
    label_hint,
    label_names,
    label_sentence,
    most_frequent,
)
from hourglass.cli.suggested_settings import (
    new_settings,
    resized_side,
    split_fractions,
)
from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.columns.column import Reason

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.data.columns.decision import Decision
    from hourglass.data.inferred_table import InferredTable

TABLE, IMAGES = "hourglass.data.table.Table", "hourglass.data.images.Images"
# Names of a class of images that is normal if the user names none.
NORMAL_CLASSES = {"good", "normal", "ok", "okay", "healthy"}
TRAIN_SHARE = 0.5  # the default of Fractions
# Names of a column that is the label rather than a feature, unless it has more values.
LABEL_NAMES = {"label", "labels", "class", "target", "y", "anomaly", "outlier", "is_anomaly"}
MAX_LABELS = 10
ENCODED_ROWS = 10_000  # that give the number of network inputs
LABEL = Reason("the label, by its name", "set `label` to it, and `normal` to its normal values")


@dataclass(frozen=True)
class Roles:
    """The roles that the user gives to columns, and the normal classes."""

    label: str | None = None
    normal: tuple[str, ...] = ()
    time: str | None = None
    id: str | None = None
    drop: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Return the columns with a role other than feature."""
        return [name for name in (self.label, self.time, self.id) if name is not None]

    def options(self) -> str:
        """Return the roles as options of the command line, each with a space in front."""
        lists = {"normal": format_names(self.normal), "drop": format_names(self.drop)}
        values = {**vars(self), **lists}
        return "".join(f" --{key} {shlex.quote(value)}" for key, value in values.items() if value)


@dataclass(frozen=True)
class DataPlan:
    """A data set to add: its settings except `path`, and sentences that describe it."""

    class_path: str
    init_args: dict[str, Any]
    sections: dict[str, dict[str, object]]  # `model` and `training`
    content: list[str]  # of the file
    labels: np.ndarray | None  # (N,) of all samples in file order; None if there are none
    alpha: float | None  # the false-alarm rate of the threshold; None if it is not conformal
    decisions: "Sequence[Decision]" = ()  # about the columns of a table
    converted: "pd.DataFrame | None" = None  # the table of an .npz file, to be stored as Parquet
    hint: str = ""  # a sentence about a column that may be the label

    @property
    def is_table(self) -> bool:
        """Return whether the samples are rows of a table."""
        return self.class_path == TABLE


def plan_data_set(file: Path, roles: Roles, alphas: Sequence[float]) -> DataPlan:
    """Inspect a table, an .npz file, or a folder of tables or images.

    `alphas` are those of `split_fractions`. Raises a UserError if the file cannot be used.
    """
    from hourglass.data.readers.image_files import read_npz_table
    from hourglass.data.readers.table_paths import is_table
    from hourglass.data.readers.user_files import check_file_type, fixed_part

    if fixed_part(str(file)) != file:  # a pattern
        return _plan_table(file, roles, alphas, None)
    if not file.exists():
        raise UserError(f"{file} does not exist; name a table, an .npz file or a folder of images.")
    check_file_type(file)
    table = read_npz_table(file) if file.suffix.lower() == ".npz" else None
    if table is not None:
        if "y" in table and roles.label is None:
            roles = replace(roles, label="y")
        return replace(_plan_table(file, roles, alphas, table), converted=table)
    if file.suffix.lower() == ".npz" or (file.is_dir() and not is_table(file)):
        return _plan_images(file, roles, alphas)
    return _plan_table(file, roles, alphas, None)


def _plan_table(
    file: Path, roles: Roles, alphas: Sequence[float], frame: "pd.DataFrame | None"
) -> DataPlan:
    from hourglass.data.frames import frame_table
    from hourglass.data.readers.table_source import open_table
    from hourglass.data.table import Table
    from hourglass.data.table_encoding import TableEncoding

    if roles.normal and roles.label is None:
        raise UserError(f"normal is {','.join(roles.normal)!r}, but label names no column; add it.")
    source = open_table(file) if frame is None else frame_table(frame, file)
    table = Table(str(file), roles.label, id=roles.id, time=roles.time, drop=roles.drop)
    inferred = table.infer(source)
    inferred = replace(inferred, decisions=[_without_label(each) for each in inferred.decisions])
    used = [decision for decision in inferred.decisions if decision.column is not None]
    _require_features(inferred, len(used))
    init_args: dict[str, Any] = {}
    labels = table.row_labels(inferred)
    if labels is not None:
        known = labels[labels != ""]
        names = label_names(known, roles.normal or (most_frequent(known),), file)
        init_args = {"label": roles.label, "normal": names}
    table.normal = init_args.get("normal")
    raw = table.load_inferred(inferred)
    if roles.id is not None:
        _require_unique(raw.id, roles.id, file)
    normal = int((~raw.anomaly).sum())
    init_args |= {key: value for key in ("id", "time") if (value := getattr(roles, key))}
    alpha, fractions = split_fractions(normal, alphas)
    init_args |= {"scaling": "auto"} | ({"fractions": fractions} if fractions else {})
    content = [f"{counted(inferred.rows, 'row')} with {len(used)} features ({source.describe()})."]
    if missing := int(np.isnan(raw.x).any(1).sum()):
        content.append(f"{counted(missing, 'row')} with a missing cell.")
    if left_out := inferred.rows - len(raw.x):
        without = "any value" if labels is None else "a label, or without any value"
        content.append(f"Left out: {counted(left_out, 'row')} without {without}.")
    content.append(label_sentence(init_args, normal, count_anomalies(raw.label, raw.anomaly)))
    width = TableEncoding.fit(raw.columns, raw.x[:ENCODED_ROWS]).width
    settings = new_settings(_train(normal, init_args), (width,))
    dropped = [*roles.drop, *(d.name for d in inferred.decisions if d.reason == LABEL)]
    init_args |= {"drop": dropped} if dropped else {}
    hint = _hint(inferred) if labels is None else ""
    return DataPlan(
        TABLE, init_args, settings, content, labels, alpha, inferred.decisions, hint=hint
    )


def _hint(inferred: "InferredTable") -> str:
    """Return a sentence about the first column that may be the label; "" without one."""
    from hourglass.data.table_roles import text_cells

    for decision in inferred.decisions:
        name, is_used = decision.name, decision.column is not None
        if not (is_used or decision.reason == LABEL) or decision.distinct > MAX_LABELS:
            continue
        if LABEL_WORDS.match(name):
            hint = label_hint(name, text_cells(inferred.batches.only(name), name), is_used)
            if hint:
                return hint
    return ""


def _without_label(decision: "Decision") -> "Decision":
    """Return the decision; a column that is the label by its name is left out."""
    is_label = decision.name.lower() in LABEL_NAMES and decision.distinct <= MAX_LABELS
    if decision.column is not None and is_label:
        return replace(decision, column=None, reason=LABEL, notes=())
    return decision


def _plan_images(file: Path, roles: Roles, alphas: Sequence[float]) -> DataPlan:
    from hourglass.core.suggestions import quote
    from hourglass.data.readers.image_files import inspect_images

    if roles.columns or roles.drop:
        raise UserError(f"{file} holds images, which have no columns; give no option but --normal.")
    labels, sizes, channels = inspect_images(file)
    init_args: dict[str, Any] = {}
    classes = set(labels.tolist())
    usual = sorted(name for name in classes if name.lower() in NORMAL_CLASSES)
    named = roles.normal or tuple(usual if len(classes) > 1 else ())
    normal, anomalies = len(labels), dict[str, int]()
    if named:
        names = label_names(labels, named, file)
        anomaly = ~np.isin(labels, names)
        normal, anomalies = int((~anomaly).sum()), count_anomalies(labels, anomaly)
        init_args["normal"] = names
    side = resized_side(sizes) if file.is_dir() else None  # scoring does not resize arrays
    if side:
        init_args["size"] = side
    width, height = (side, side) if side else next(iter(sizes))
    alpha, fractions = split_fractions(normal, alphas)
    init_args |= {"fractions": fractions} if fractions else {}
    kind = "grey" if channels == 1 else "colour"
    shown = f"{len(sizes)} sizes" if len(sizes) > 1 else "{} x {} pixels".format(*next(iter(sizes)))
    content = [f"{counted(len(labels), f'{kind} image')} of {shown}."]
    content.append(label_sentence(init_args, normal, anomalies))
    if not named and len(classes) > 1:
        content.append(f"Classes are {quote(sorted(classes))}; name the normal ones with --normal.")
    settings = new_settings(_train(normal, init_args), (channels, height, width))
    return DataPlan(IMAGES, init_args, settings, content, labels if named else None, alpha)


def _require_unique(ids: np.ndarray, name: str, file: Path) -> None:
    """Raise a UserError if two rows have the same id; results would name either."""
    values, counts = np.unique(ids, return_counts=True)
    if counts.max() > 1:
        raise UserError(
            f"column {name!r} of {file} holds {str(values[counts.argmax()])!r} more than once, "
            "so it is no id; omit --id, and give the column to --drop if it is no feature."
        )


def _require_features(inferred: "InferredTable", count: int) -> None:
    """Raise a UserError for a table with too few features."""
    if count < 2:
        problems = ", ".join(
            f"{decision.name} ({decision.reason.cause})"
            for decision in inferred.decisions
            if decision.reason is not None
        )
        raise UserError(
            f"{inferred.source.path} has {counted(count, 'usable feature')}, "
            f"but an autoencoder needs two; not usable: {problems or 'no other column'}."
        )


def _train(normal: int, init_args: dict[str, Any]) -> int:
    share = init_args.get("fractions", {}).get("train", TRAIN_SHARE)
    return max(1, round(share * normal))
