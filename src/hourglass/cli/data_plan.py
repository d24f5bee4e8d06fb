"""The plan to add a data set: what its file holds, and the settings that suit it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.cli.data_yaml import data_set_yaml
from hourglass.cli.suggested_settings import (
    image_settings,
    resized_side,
    split_fractions,
    table_settings,
)
from hourglass.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from hourglass.data.readers.table_inspection import Inspection, UnusableColumn

TABLE, IMAGES = "hourglass.data.table.Table", "hourglass.data.images.Images"
# Names of a class of images that is normal if the user names none.
NORMAL_CLASSES = {"good", "normal", "ok", "okay", "healthy"}
TRAIN_SHARE = 0.5  # the default of Fractions


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
        values = {**vars(self), "normal": ",".join(self.normal), "drop": ",".join(self.drop)}
        return "".join(f" --{key} {shlex.quote(value)}" for key, value in values.items() if value)


@dataclass(frozen=True)
class DataPlan:
    """A data set to add: its settings except `path`, and sentences that describe it."""

    class_path: str
    init_args: dict[str, Any]
    sections: dict[str, dict[str, object]]  # `model` and `training`
    content: list[str]  # of the file
    labels: "np.ndarray | None"  # (N,) of all samples in file order; None if there are none
    alpha: float | None  # the false-alarm rate of the threshold; None if it is not conformal
    unusable: "tuple[UnusableColumn, ...]" = ()
    converted: "pd.DataFrame | None" = None  # the table of an .npz file, to be stored as Parquet

    @property
    def is_table(self) -> bool:
        """Return whether the samples are rows of a table."""
        return self.class_path == TABLE

    def text(self, path: str, command: str) -> str:
        """Return the text of the file in configs/data; `command` is the command that writes it."""
        header = [f"Written by `{command}`."]
        init_args = {"path": path, **self.init_args}
        sections = self.sections
        return data_set_yaml(
            [*header, *self.content], self.class_path, init_args, sections, self.unusable
        )


def plan_data_set(file: Path, roles: Roles, alphas: Sequence[float]) -> DataPlan:
    """Inspect a table (.csv, .tsv, .parquet), an .npz file or a folder of images.

    `alphas` are those of `split_fractions`. Raises a UserError if the file cannot be used.
    """
    from hourglass.data.readers.image_files import read_npz_table
    from hourglass.data.readers.user_files import check_file_type

    if not file.exists():
        raise UserError(f"{file} does not exist; name a table, an .npz file or a folder of images.")
    check_file_type(file)
    table = read_npz_table(file) if file.suffix.lower() == ".npz" else None
    if table is not None:
        if "y" in table and roles.label is None:
            roles = replace(roles, label="y")
        return replace(_plan_table(file, roles, alphas, table), converted=table)
    if file.is_dir() or file.suffix.lower() == ".npz":
        return _plan_images(file, roles, alphas)
    return _plan_table(file, roles, alphas, None)


def _plan_table(
    file: Path, roles: Roles, alphas: Sequence[float], frame: "pd.DataFrame | None"
) -> DataPlan:
    from hourglass.data.readers.table_files import read_table, require_columns, time_column
    from hourglass.data.readers.table_inspection import inspect_table

    if roles.normal and roles.label is None:
        raise UserError(f"normal is {','.join(roles.normal)!r}, but label names no column; add it.")
    if frame is None:
        frame = read_table(file, [name for name in (roles.label, roles.id) if name is not None])
    require_columns(frame, [*roles.columns, *roles.drop], file)
    found = inspect_table(frame, roles.columns, roles.drop)
    _check(found, frame, file)
    if roles.time is not None:
        time_column(frame[found.complete], roles.time, file)  # raises a UserError for a bad cell
    init_args: dict[str, Any] = {}
    normal, anomalies = int(found.complete.sum()), dict[str, int]()
    if roles.label is not None:
        labels = frame.loc[found.complete, roles.label].astype(str).to_numpy()
        names = _names(labels, roles.normal or (_most_frequent(labels),))
        normal, anomalies = _counts(labels, names, file)
        init_args = {"label": roles.label, "normal": names}
    init_args |= {key: value for key in ("id", "time") if (value := getattr(roles, key))}
    skipped = int((~found.complete).sum())
    if skipped:
        init_args["missing"] = "skip"
    alpha, fractions = split_fractions(normal, alphas)
    init_args |= {"scaling": "standard"} | ({"fractions": fractions} if fractions else {})
    content = [f"{len(frame):,} rows with {len(found.features)} features."]
    if skipped:
        content.append(f"{skipped:,} rows have an empty cell, so they cannot be used or scored.")
    content.append(_normal_sentence(init_args, normal, anomalies))
    settings = table_settings(_train(normal, init_args), len(found.features))
    init_args |= {"drop": list(roles.drop)} if roles.drop else {}
    all_labels = None if roles.label is None else frame[roles.label].to_numpy(object)
    unusable = tuple(found.unusable)
    return DataPlan(TABLE, init_args, settings, content, all_labels, alpha, unusable)


def _plan_images(file: Path, roles: Roles, alphas: Sequence[float]) -> DataPlan:
    from hourglass.data.readers.image_files import inspect_images

    if roles.columns or roles.drop:
        raise UserError(f"{file} holds images, which have no columns; give no option but --normal.")
    labels, sizes, channels = inspect_images(file)
    init_args: dict[str, Any] = {}
    classes = set(labels.tolist())
    named = roles.normal or tuple(sorted(NORMAL_CLASSES & classes if len(classes) > 1 else ()))
    normal, anomalies = len(labels), dict[str, int]()
    if named:
        names = _names(labels, named)
        normal, anomalies = _counts(labels, names, file)
        init_args["normal"] = names
    side = resized_side(sizes) if file.is_dir() else None  # scoring does not resize arrays
    if side:
        init_args["size"] = side
    width, height = (side, side) if side else next(iter(sizes))
    alpha, fractions = split_fractions(normal, alphas)
    init_args |= {"fractions": fractions} if fractions else {}
    kind = "grey" if channels == 1 else "colour"
    shown = f"{len(sizes)} sizes" if len(sizes) > 1 else "{} x {} pixels".format(*next(iter(sizes)))
    content = [f"{len(labels):,} {kind} images of {shown}."]
    content.append(_normal_sentence(init_args, normal, anomalies))
    settings = image_settings(_train(normal, init_args), (channels, height, width))
    return DataPlan(IMAGES, init_args, settings, content, labels if named else None, alpha)


def _check(found: "Inspection", frame: "pd.DataFrame", file: Path) -> None:
    """Raise a UserError for a table without a header, with too few features, or without rows."""
    from hourglass.core.suggestions import quote
    from hourglass.data.readers.user_files import is_number

    if len(frame.columns) > 1 and all(map(is_number, frame.columns)):
        raise UserError(
            f"the header of {file} holds only numbers ({quote(str(frame.columns[0]))}, ...), so "
            "the names of the columns seem to be missing; add a first line with them."
        )
    if len(found.features) < 2:
        problems = ", ".join(f"{c.name} ({c.kind.partition(':')[0]})" for c in found.unusable)
        raise UserError(
            f"{file} has {len(found.features)} usable features, but an autoencoder needs two; not "
            f"usable: {problems or 'no other column'}."
        )
    if not found.complete.any():
        raise UserError(f"every row of {file} has an empty cell; fill or drop some columns.")


def _names(labels: "np.ndarray", wanted: tuple[str, ...]) -> list[str]:
    """Return the labels as the file has them: 0 is also 0.0."""
    from hourglass.data.readers.user_files import is_number

    present = set(labels.tolist())
    numbers = {float(label): label for label in present if is_number(label)}
    return [
        numbers.get(float(name), name) if name not in present and is_number(name) else name
        for name in wanted
    ]


def _most_frequent(labels: "np.ndarray") -> str:
    import numpy as np

    names, counts = np.unique(labels, return_counts=True)
    return str(names[counts.argmax()])


def _counts(labels: "np.ndarray", normal: list[str], file: Path) -> tuple[int, dict[str, int]]:
    """Return the number of normal samples, and of anomalies by label."""
    import numpy as np

    from hourglass.data.readers.user_files import anomaly_mask

    anomaly = anomaly_mask(labels, [*normal], file)  # checks the names
    names, counts = np.unique(labels[anomaly], return_counts=True)
    anomalies = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return int((~anomaly).sum()), anomalies


def _train(normal: int, init_args: dict[str, Any]) -> int:
    share = init_args.get("fractions", {}).get("train", TRAIN_SHARE)
    return max(1, round(share * normal))


def _normal_sentence(init_args: dict[str, Any], normal: int, anomalies: dict[str, int]) -> str:
    """Return a sentence about normal samples and anomalies."""
    if "normal" not in init_args:
        return (
            f"No anomaly is labelled: all {normal:,} count as normal, and anomalies among them "
            "make the detector less sensitive."
        )
    names = ", ".join(map(repr, init_args["normal"]))
    others = sorted(anomalies.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name!r} {count:,}" for name, count in others[:5])
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return (
        f"{normal:,} are normal ({names}), {sum(anomalies.values()):,} anomalies ({shown}{more})."
    )
