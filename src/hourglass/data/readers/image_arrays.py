"""Images or rows in .npz and .npy files: names and layout of the arrays, labels and masks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hourglass.core.errors import UserError
from hourglass.data.readers.numpy_files import array_title, read_arrays
from hourglass.data.readers.pixels import plain_type

# Names of arrays, in lower case and without the name of their part, the likeliest first.
X_NAMES = ("x", "images", "image", "data", "imgs", "arr_0")
Y_NAMES = ("y", "labels", "label", "targets", "target", "classes", "class", "arr_1")
MASK_NAME = re.compile("mask|ground_?truth|segmentation|^gt$")
PART = re.compile("train|valid(ation)?|val|test")  # in the name of an array, such as x_train

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class ArrayNames:
    """The names of the arrays that belong together; None for those that are missing."""

    x: str
    y: str | None
    mask: str | None
    is_test: bool


@dataclass(frozen=True)
class ImageArray:
    """Images of a file, before their geometry is changed."""

    x: np.ndarray  # (N, H, W, C) uint8, uint16 or float32
    label: np.ndarray | None  # (N,) str
    mask: np.ndarray | None  # (N, H, W) bool
    is_test: np.ndarray | None  # (N,) bool: the official test part, if there is one


def read_image_array(path: Path) -> ImageArray:
    """Read all images of an .npz or .npy file; those of several parts follow each other.

    Raises a UserError that names the array and its defect.
    """
    arrays = read_arrays(path)
    shapes = {name: array.shape for name, array in arrays.items()}
    groups = group_arrays(shapes, path)
    xs = [_images(arrays[group.x], array_title(group.x, path)) for group in groups]
    if len({(x.shape[1:], x.dtype) for x in xs}) > 1:
        raise UserError(
            f"the parts of {path} differ, {xs[0].dtype} of shape {xs[0].shape} and {xs[1].dtype} "
            f"of shape {xs[1].shape}; give images of one shape and type."
        )
    counts = [len(x) for x in xs]
    tests = np.repeat([group.is_test for group in groups], counts)
    labels = [None if group.y is None else _as_text(arrays[group.y]) for group in groups]
    masks = [None if group.mask is None else arrays[group.mask] for group in groups]
    for group, x, label in zip(groups, xs, labels, strict=True):
        if label is not None:
            _require_label_per_sample(len(x), label, array_title(group.y, path))
    has_labels = all(label is not None for label in labels)
    x = xs[0] if len(xs) == 1 else np.concatenate(xs)
    return ImageArray(
        x,
        np.concatenate([label.ravel() for label in labels if label is not None])
        if has_labels
        else None,
        _joined_masks(masks, xs, path),
        tests if tests.any() and not tests.all() else None,
    )


def group_arrays(shapes: Shapes, path: Path) -> list[ArrayNames]:
    """Return the arrays of images of a file, and the labels and masks of each.

    The names x and y, images and labels and so on are known; an array of another name is taken if
    it is the only one of its kind. x_train and x_test are parts, of which the latter is the
    official test part. Raises a UserError if there is no array of images, or no choice between
    several.
    """
    parts = dict[str, dict[str, str]]()  # of each part, the array by its name without the part
    for name in shapes:
        lower = name.lower()
        found = PART.search(lower)
        rest = PART.sub("", lower).strip("_-. ") if found else lower
        parts.setdefault(found.group() if found else "", {})[rest] = name
    groups = []
    for part, names in parts.items():
        masks = [name for rest, name in names.items() if MASK_NAME.search(rest)]
        images = {
            rest: name
            for rest, name in names.items()
            if name not in masks and (len(shapes[name]) in (3, 4) or rest == "x")
        }
        x = _choose(images, X_NAMES, "images", path)
        if x is None:
            continue
        length = shapes[x][:1]
        others = {
            rest: name
            for rest, name in names.items()
            if name != x and (rest in Y_NAMES or shapes[name] in (length, (*length, 1)))
        }
        y = _choose(others, Y_NAMES, "labels", path)
        groups.append(ArrayNames(x, y, masks[0] if masks else None, part == "test"))
    if not groups:
        raise UserError(
            f"{path} holds the arrays {sorted(shapes)}, none of images; give an array x of shape "
            "(N, H, W), (N, H, W, C) or (N, C, H, W)."
        )
    return groups


def _choose(names: Mapping[str, str], usual: tuple[str, ...], kind: str, path: Path) -> str | None:
    known = next((names[name] for name in usual if name in names), None)
    if known is None and len(names) > 1:
        raise UserError(
            f"{path} holds several arrays that may be {kind}, {sorted(names.values())}; call one "
            f"{usual[0]!r}."
        )
    return known or next(iter(names.values()), None)


def _images(x: np.ndarray, name: str) -> np.ndarray:
    """Return an array as (N, H, W, C) of uint8, uint16 or float32."""
    if x.ndim not in (3, 4) or 0 in x.shape or x.dtype.kind not in "biuf":
        raise UserError(
            f"{name} is {x.dtype} of shape {x.shape}; give numbers of shape (N, H, W), "
            "(N, H, W, C) or (N, C, H, W)."
        )
    if x.ndim == 3 and x.shape[2] in (3, 4) and x.shape[2] < x.shape[1]:
        raise UserError(
            f"{name} has shape {x.shape}, that of one colour image or of {x.shape[0]} narrow grey "
            f"ones; give {(1, *x.shape)} or {(*x.shape, 1)}."
        )
    return channels_last(plain_type(x, name), name)


def channels_last(x: np.ndarray, name: object) -> np.ndarray:
    """Return images as (N, H, W, C).

    The channel axis is the last one if its length is 1 or 3, else the second one if its length is,
    else the shorter one. Raises a UserError if both are equal.
    """
    if x.ndim == 3:
        return x[..., None]
    second, last = x.shape[1], x.shape[3]
    if last in (1, 3) or (last < second and second not in (1, 3)):
        return x
    if second in (1, 3) or second < last:
        return x.transpose(0, 2, 3, 1)
    raise UserError(
        f"{name} has shape {x.shape}, in which neither the last nor the second axis is that of the "
        "channels; give (N, H, W, C) or (N, C, H, W)."
    )


def _joined_masks(
    masks: list[np.ndarray | None], xs: list[np.ndarray], path: Path
) -> np.ndarray | None:
    """Return the masks of all parts as (N, H, W) bool; parts without any have no defects."""
    if all(mask is None for mask in masks):
        return None
    joined = []
    for mask, x in zip(masks, xs, strict=True):
        if mask is None:
            joined.append(np.zeros(x.shape[:3], bool))
            continue
        if mask.dtype.kind not in "biuf":
            raise UserError(f"the masks of {path} are {mask.dtype}; give numbers or truth values.")
        plain = mask.reshape(mask.shape[:3] if mask.shape[3:] == (1,) else mask.shape) != 0
        if plain.shape != x.shape[:3]:
            raise UserError(
                f"the masks of {path} have the shape {mask.shape} for images of {x.shape}; give "
                "(N, H, W)."
            )
        joined.append(plain)
    return np.concatenate(joined)


def _as_text(labels: np.ndarray) -> np.ndarray:
    return np.char.decode(labels, "latin-1") if labels.dtype.kind == "S" else labels.astype(str)


def _require_label_per_sample(count: int, label: np.ndarray, name: str) -> None:
    if label.shape not in ((count,), (count, 1)):
        raise UserError(
            f"{name} has shape {label.shape} for {count} samples; give one class per sample."
        )


def read_npz_table(path: Path) -> pd.DataFrame | None:
    """Return the rows `x`, (N, F) numbers, and the labels `y` of an .npz file; None for images.

    The features are called x0, x1 and so on.
    """
    arrays = read_arrays(path)
    x, y = arrays.get("x"), arrays.get("y")
    if x is None or x.ndim != 2 or x.dtype.kind not in "fiu":
        return None
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])
    if y is not None:
        _require_label_per_sample(len(x), y, array_title("y", path))
        frame["y"] = y.ravel().astype(str)
    return frame.set_index(pd.RangeIndex(1, len(frame) + 1))
