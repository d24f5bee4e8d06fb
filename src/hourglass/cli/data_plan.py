"""The plan of a new data set: the content of its file, and settings that suit it."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.cli.normal_labels import (
    count_labels,
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
    unusable: "Mapping[str, list[UnusableColumn]]" = field(default_factory=dict)  # by kind
    converted: "pd.DataFrame | None" = None  # the table of an .npz file, to be stored as Parquet

    @property
    def is_table(self) -> bool:
        """Return whether the samples are rows of a table."""
        return self.class_path == TABLE


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
    from hourglass.data.readers.table_chunks import read_table_chunks
    from hourglass.data.readers.table_files import read_table, require_columns, time_column
    from hourglass.data.readers.table_inspection import inspect_table

    if roles.normal and roles.label is None:
        raise UserError(f"normal is {','.join(roles.normal)!r}, but label names no column; add it.")
    if frame is None:
        frame = read_table(file, [name for name in (roles.label, roles.id) if name is not None])
    require_columns(frame, [*roles.columns, *roles.drop], file)
    if roles.label is not None:
        _require_labels(frame[roles.label], file)
    found = inspect_table(frame, roles.columns, roles.drop)
    _check(found, frame, file)
    if roles.id is not None:
        _require_unique(frame[roles.id], file)
    if roles.time is not None:
        time_column(frame[found.complete], roles.time, file)  # raises a UserError
    if file.suffix.lower() != ".npz":  # scoring has another reader, which rejects more
        for _ in read_table_chunks(file, found.features, roles.id):
            pass
    init_args: dict[str, Any] = {}
    normal, anomalies = int(found.complete.sum()), dict[str, int]()
    if roles.label is not None:
        labels = frame.loc[found.complete, roles.label].astype(str).to_numpy()
        names = label_names(labels, roles.normal or (most_frequent(labels),))
        normal, anomalies = count_labels(labels, names, file)
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
    content.append(label_sentence(init_args, normal, anomalies))
    settings = new_settings(_train(normal, init_args), (len(found.features),))
    init_args |= {"drop": list(roles.drop)} if roles.drop else {}
    all_labels = None if roles.label is None else frame[roles.label].to_numpy(object)
    unusable: dict[str, list[UnusableColumn]] = {}
    for column in sorted(found.unusable, key=lambda column: column.kind):
        unusable.setdefault(column.kind, []).append(column)
    return DataPlan(TABLE, init_args, settings, content, all_labels, alpha, unusable)


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
        names = label_names(labels, named)
        normal, anomalies = count_labels(labels, names, file)
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
    content.append(label_sentence(init_args, normal, anomalies))
    if not named and len(classes) > 1:
        content.append(f"Classes are {quote(sorted(classes))}; name the normal ones with --normal.")
    settings = new_settings(_train(normal, init_args), (channels, height, width))
    return DataPlan(IMAGES, init_args, settings, content, labels if named else None, alpha)


def _require_labels(labels: "pd.Series", file: Path) -> None:
    """Raise a UserError if most labels are empty, as where anomalies only are marked."""
    empty = int(labels.isna().sum())
    if empty > len(labels) / 2:
        raise UserError(
            f"column {str(labels.name)!r} of {file} is empty in {empty:,} of {len(labels):,} rows, "
            "and rows without a label are left out; fill in the label of normal rows there."
        )


def _require_unique(ids: "pd.Series", file: Path) -> None:
    """Raise a UserError if two rows have the same id; results would name either."""
    repeated = ids[ids.notna() & ids.duplicated(keep=False)]
    if len(repeated):
        raise UserError(
            f"column {str(ids.name)!r} of {file} holds {str(repeated.iloc[0])!r} more than once, "
            "so it is no id; omit --id, and give the column to --drop if it is no feature."
        )


def _check(found: "Inspection", frame: "pd.DataFrame", file: Path) -> None:
    """Raise a UserError for a table without a header, with too few features, or without rows."""
    from hourglass.core.suggestions import quote

    if (first := _first_value(list(frame.columns))) is not None:
        raise UserError(
            f"the header of {file} holds numbers ({quote(first)}, ...), so the names of the "
            "columns seem to be missing; add a first line with them."
        )
    if len(found.features) < 2:
        problems = ", ".join(f"{c.name} ({c.kind.partition(':')[0]})" for c in found.unusable)
        raise UserError(
            f"{file} has {len(found.features)} usable features, but an autoencoder needs two; not "
            f"usable: {problems or 'no other column'}."
        )
    if not found.complete.any():
        raise UserError(f"every row of {file} has an empty cell; fill or drop some columns.")


def _first_value(header: "Sequence[str]") -> str | None:
    """Return the first number in a header that holds values instead of names, None for names.

    Numbers that rise, such as those of unnamed columns or of wavelengths, are names.
    """
    import numpy as np

    from hourglass.data.readers.user_files import is_number

    numbers = [name for name in header if is_number(name)]
    if len(numbers) <= len(header) / 2:
        return None
    steps = np.diff([float(name) for name in numbers])
    are_names = (steps == 1).all() or (len(steps) > 3 and (steps > 0).all())
    return None if are_names else numbers[0]


def _train(normal: int, init_args: dict[str, Any]) -> int:
    share = init_args.get("fractions", {}).get("train", TRAIN_SHARE)
    return max(1, round(share * normal))
