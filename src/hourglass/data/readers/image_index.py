"""A table of images: their paths, and if there are any, labels, masks and parts."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import suggest_names
from hourglass.data.readers.image_files import pictures_in
from hourglass.data.readers.image_folders import SUFFIXES as IMAGE_SUFFIXES
from hourglass.data.readers.image_folders import TEST_PARTS, ImageList, repeated

SUFFIXES = (".csv", ".tsv", ".parquet")
SEPARATORS = (",", ";", "\t", "|")  # the one that the header has most of
# Usual names of the columns, in lower case, the likeliest first.
NAMES = {
    "path": ("path", "image_path", "file", "filename", "file_name", "filepath", "image", "img"),
    "label": ("label", "class", "category", "target", "defect", "y"),
    "mask": ("mask", "mask_path", "mask_file", "ground_truth", "gt", "segmentation"),
    "split": ("split", "part", "subset", "set"),
}


def is_index(path: Path) -> bool:
    """Return whether a path is a table, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def names_images(path: Path) -> bool:
    """Return whether a file is a table with a usual column of paths, all of them of images."""
    if not path.is_file() or not is_index(path):
        return False
    try:
        frame = _read(path)
        names = frame[_find_columns([*frame.columns], {}, path)["path"]]
    except UserError:  # an ordinary table
        return False
    suffixes = {Path(name).suffix.lower() for name in names}
    return len(names) > 0 and suffixes <= IMAGE_SUFFIXES


def read_index(path: Path, columns: Mapping[str, str] | None = None) -> ImageList:
    """Return the images of a .csv, .tsv or .parquet file; paths may be relative to its folder.

    `columns` gives the names of the columns path, label, mask and split; without it, they are found
    by NAMES. Images whose split is "test" are the official test part. The pages of a TIFF have the
    label, mask and split of their row. Raises a UserError if the file cannot be read, or if a
    column or an image is missing.
    """
    frame = _read(path)
    found = _find_columns([*frame.columns], columns or {}, path)
    files = [_absolute(path.parent / name) for name in frame[found["path"]]]
    masks = [
        _absolute(path.parent / name) if name else None for name in frame.get(found.get("mask"), [])
    ]
    root, common = _common_root(path.parent, [*files, *filter(None, masks)])
    files = [root / file.relative_to(common) for file in files]
    masks = [mask and root / mask.relative_to(common) for mask in masks]
    missing = next((file for file in files if not file.is_file()), None)
    if not files or missing:
        problem = f"{path} names {missing}, which does not exist" if missing else f"{path} is empty"
        raise UserError(f"{problem}; give paths relative to the folder of the table.")
    labels = frame[found["label"]].tolist() if "label" in found else None
    splits = [name.lower() in TEST_PARTS for name in frame.get(found.get("split"), [])]
    pages = [pictures_in(file) for file in files]
    counts = [len(group) for group in pages]
    return ImageList(
        root,
        [picture for group in pages for picture in group],
        None if labels is None else repeated(labels, counts),
        repeated(splits, counts) if any(splits) and not all(splits) else None,
        repeated(masks, counts) if any(masks) else None,
    )


def _read(path: Path) -> Any:
    """Return the table as text; missing cells are ""."""
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
            return frame.astype("string").fillna("").astype(object)
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        separator = max(SEPARATORS, key=header.count)
        return pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except Exception as error:  # pandas and Arrow raise many types of errors
        raise UserError(
            f"{path} cannot be read as a table of images ({one_line(error)}); give a .csv or "
            ".parquet file with a column of paths."
        ) from error


def _find_columns(present: Sequence[str], columns: Mapping[str, str], path: Path) -> dict[str, str]:
    """Return the names of the columns that exist, by their role in NAMES."""
    unknown = columns.keys() - NAMES.keys()
    if unknown:
        raise UserError(f"`columns` sets {sorted(unknown)}; its keys are {', '.join(NAMES)}.")
    absent = next((name for name in columns.values() if name not in present), None)
    if absent is not None:
        raise UserError(
            f"{path} has no column {absent!r}: {suggest_names(absent, present)}; correct `columns`."
        )
    lower = {name.lower(): name for name in reversed(present)}
    found = {
        role: next((lower[name] for name in names if name in lower), None)
        for role, names in NAMES.items()
    }
    found |= columns
    if found["path"] is None:
        raise UserError(
            f"{path} has no column of paths: {suggest_names('path', present)}; name it with "
            "`columns: {path: ...}`."
        )
    return {role: name for role, name in found.items() if name is not None}


def _absolute(path: Path) -> Path:
    """Return a path without "..", and with the folders that are symbolic links."""
    return Path(os.path.normpath(path.absolute()))


def _common_root(folder: Path, files: Iterable[Path]) -> tuple[Path, Path]:
    """Return the innermost folder above a table in `folder` and absolute `files`, in two forms.

    The first is relative if `folder` is and if it lies in the working directory, which may move.
    The second is absolute.
    """
    own = _absolute(folder)
    common = Path(os.path.commonpath([own, *{file.parent for file in files}]))
    if common == own:
        return folder, common
    here = Path.cwd()
    is_inside = not folder.is_absolute() and common.is_relative_to(here)
    return common.relative_to(here) if is_inside else common, common
