"""The plan of a new data set: the content of its file, and settings that suit it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.cli.normal_labels import (
    count_anomalies,
    label_names,
    label_sentence,
)
from hourglass.cli.roles import Roles
from hourglass.cli.suggested_settings import (
    split_fractions,
    suggested_size,
)
from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.data.columns.decision import Decision
    from hourglass.data.readers.image_inspection import ImageSummary

TABLE, SERIES = "hourglass.data.table.Table", "hourglass.data.series.Series"
IMAGES = "hourglass.data.images.Images"
ACTIVATIONS = "hourglass.data.activations.Activations"
MIN_FEATURE_SIDE = 64  # pixels of the median image, for a feature autoencoder
TRAIN_SHARE, TEST_SHARE = 0.5, 0.15  # the defaults of Fractions


@dataclass(frozen=True)
class DataPlan:
    """A data set to add: its settings except `path`, and sentences that describe it."""

    class_path: str
    init_args: dict[str, Any]
    train_rows: int  # samples, or rows of a series, in the train split
    input_shape: tuple[int, ...]  # of a sample that a network gets
    content: list[str]  # of the file
    labels: np.ndarray | None  # (N,) of all samples in file order; None if there are none
    alpha: float | None  # the false-alarm rate of the threshold; None if it is not conformal
    decisions: "Sequence[Decision]" = ()  # about the columns of a table
    converted: "pd.DataFrame | None" = None  # the table of an .npz file, to be stored as Parquet
    hints: Sequence[str] = ()  # sentences about columns whose role is not certain
    # Of all rows of a series in file order, (N,) str; None without a column of entities.
    times: np.ndarray | None = None
    entities: np.ndarray | None = None
    has_dates: bool = False  # whether the times are dates, not numbers
    intervals: "Sequence[Sequence[str]]" = ()  # the anomalous stretches of a series, [start, end]
    suits_features: bool = False  # whether they are images for a feature autoencoder

    @property
    def is_table(self) -> bool:
        """Return whether the samples are rows of a table; those of a series are."""
        return self.class_path in (TABLE, SERIES)

    @property
    def is_images(self) -> bool:
        """Return whether the samples are images."""
        return self.class_path == IMAGES

    @property
    def is_vectors(self) -> bool:
        """Return whether the samples are vectors, such as activations."""
        return self.class_path == ACTIVATIONS

    @property
    def is_series(self) -> bool:
        """Return whether the rows are scored in windows."""
        return self.class_path == SERIES


def plan_data_set(
    file: Path,
    roles: Roles,
    alphas: Sequence[float],
    features: bool = False,
    vector_scaling: str = "standard",
) -> DataPlan:
    """Inspect a table of rows or of paths of images, a folder of them, an .npz file, or vectors.

    `alphas` are those of `split_fractions`. With `features`, images that suit a feature autoencoder
    get a size for it. `vector_scaling` is the scaling of vectors. Raises a UserError if the file
    cannot be used.
    """
    from hourglass.cli.table_plan import plan_table
    from hourglass.cli.vector_plan import holds_vectors, plan_vectors
    from hourglass.data.readers.image_arrays import read_npz_table
    from hourglass.data.readers.image_index import names_images
    from hourglass.data.readers.table_paths import is_table
    from hourglass.data.readers.user_files import check_file_type, fixed_part

    if holds_vectors(file):
        return plan_vectors(file, roles, alphas, vector_scaling)
    if fixed_part(str(file)) != file:  # a pattern
        return plan_table(file, roles, alphas, None)
    if not file.exists():
        raise UserError(f"{file} does not exist; name a table, an .npz file or a folder of images.")
    check_file_type(file)
    table = read_npz_table(file) if file.suffix.lower() == ".npz" else None
    if table is not None:
        if "y" in table and roles.label is None:
            roles = replace(roles, label="y")
        return replace(plan_table(file, roles, alphas, table), converted=table)
    is_array = file.suffix.lower() in (".npy", ".npz")
    is_folder = file.is_dir() and (not is_table(file) or _holds_mostly_images(file))
    if is_array or is_folder or names_images(file):
        return _plan_images(file, roles, alphas, features)
    return plan_table(file, roles, alphas, None)


def _holds_mostly_images(folder: Path) -> bool:
    """Return whether a folder holds more images than tables; a table may hold their labels."""
    from hourglass.data.readers.image_folders import SUFFIXES
    from hourglass.data.readers.table_paths import find_files

    images = sum(file.suffix.lower() in SUFFIXES for file in folder.rglob("*"))
    return images > len(find_files(folder))


def _plan_images(file: Path, roles: Roles, alphas: Sequence[float], features: bool) -> DataPlan:
    from hourglass.core.suggestions import quote
    from hourglass.data.readers.image_folders import NORMAL_CLASSES
    from hourglass.data.readers.image_index import names_images
    from hourglass.data.readers.image_inspection import inspect_images

    is_index = names_images(file)
    columns = {"label": roles.label} if is_index and roles.label else {}
    if len(roles.columns) > len(columns) or roles.drop or roles.intervals or roles.rows:
        options = "--label and --normal" if is_index else "--normal"
        raise UserError(f"{file} holds images, which have no columns; give {options} only.")
    images = inspect_images(file, columns, roles.skip_damaged)
    labels = images.labels
    init_args: dict[str, Any] = {"columns": columns} if columns else {}
    init_args |= {"skip_damaged": True} if roles.skip_damaged else {}
    classes = set(labels.tolist())
    usual = sorted(name for name in classes if name.lower() in NORMAL_CLASSES)
    by_layout = (images.normal,) if images.normal else tuple(usual)
    named = roles.normal or (by_layout if len(classes) > 1 else ())
    anomaly, anomalies = np.zeros(len(labels), bool), dict[str, int]()
    if named:
        names = label_names(labels, named, file)
        anomaly = ~np.isin(labels, names)
        anomalies = count_anomalies(labels, anomaly)
        init_args["normal"] = names
    suits = images.channels in (1, 3)
    suits = suits and float(np.median(images.sizes, axis=0).min()) >= MIN_FEATURE_SIDE
    size = suggested_size(images.sizes, suits and features)
    if size:
        init_args["size"] = size
    if len(np.unique(images.sizes, axis=0)) > 1:
        init_args["fit"] = "pad"
    height, width = (size, size) if isinstance(size, int) else size or images.sizes[0].tolist()
    # Without the official test part, the other splits share all of the rest.
    divided = int((~anomaly & ~images.is_test).sum() / (1 - TEST_SHARE * images.is_test.any()))
    alpha, fractions = split_fractions(divided, alphas)
    init_args |= {"fractions": fractions} if fractions else {}
    content = [_image_sentence(images)]
    content.append(label_sentence(init_args, int((~anomaly).sum()), anomalies))
    if images.is_test.any():
        content.append(f"{counted(int(images.is_test.sum()), 'image')} are the official test part.")
    if not named and len(classes) > 1:
        content.append(f"Classes are {quote(sorted(classes))}; name the normal ones with --normal.")
    shape = (images.channels, height, width)
    known, rows = labels if named else None, train_rows(divided, init_args)
    return DataPlan(IMAGES, init_args, rows, shape, content, known, alpha, suits_features=suits)


def _image_sentence(images: "ImageSummary") -> str:
    """Return a sentence about number, type and size of images."""
    kinds = {1: "grey image", 3: "colour image"}
    kind = kinds.get(images.channels, f"image of {images.channels} channels")
    sizes = np.unique(images.sizes, axis=0)
    height, width = sizes[0]
    shown = f"{len(sizes)} sizes" if len(sizes) > 1 else f"{width} x {height} pixels"
    depth = {1: "", 2: " and 16 bits", 4: " and floating-point values"}[images.dtype.itemsize]
    masks = ", with masks of the defects" if images.has_masks else ""
    count = counted(len(images.labels), kind, kind.replace("image", "images"))
    return f"{count} of {shown}{depth}{masks}."


def train_rows(normal: int, init_args: dict[str, Any]) -> int:
    """Return the number of normal samples in the train split."""
    share = init_args.get("fractions", {}).get("train", TRAIN_SHARE)
    return max(1, round(share * normal))
