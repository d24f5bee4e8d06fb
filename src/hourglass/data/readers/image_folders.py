"""The images of a folder: their classes, official test part and masks, by the layout."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.readers.image_files import Picture, pictures_in
from hourglass.data.readers.image_masks import (
    IMAGE_FOLDERS,
    PARTS,
    split_masks,
)

SUFFIXES = {".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm"}
SUFFIXES |= {".tif", ".tiff", ".webp"}
UNREAD_SUFFIXES = {".arw", ".avi", ".avif", ".cr2", ".dcm", ".dng", ".exr", ".heic", ".heif"}
UNREAD_SUFFIXES |= {".jxl", ".mov", ".mp4", ".nef", ".svg"}
TEST_PARTS = ("test", "testing")
IGNORED = {"__MACOSX", "@eaDir"}  # that macOS adds to archives, and a network drive to folders
NORMAL_CLASSES = ("good", "normal", "ok", "okay", "healthy")  # in lower case, the likeliest first
UNNAMED = "normal"  # the class of images without folders of classes
SHOWN_FOLDERS = 3

Item = TypeVar("Item")


@dataclass(frozen=True)
class ImageList:
    """The images of a data set, in order, and what is known about each."""

    root: Path
    pictures: list[Picture]
    labels: list[str] | None  # None if there are no classes
    is_test: list[bool] | None = None  # the official test part, if there is one
    masks: list[Path | None] | None = None  # None if there are none
    normal: str | None = None  # the class that is normal by the layout
    notes: list[str] = field(default_factory=list)  # sentences for the user

    @property
    def ids(self) -> list[str]:
        """Return the ids, (N,): paths relative to the root."""
        return [picture.name(self.root) for picture in self.pictures]

    @property
    def files(self) -> list[Path]:
        """Return all files, masks included, without repetition."""
        masks = [mask for mask in self.masks or [] if mask is not None]
        return list(dict.fromkeys([*(picture.file for picture in self.pictures), *masks]))


def images_below(folder: Path) -> list[Picture]:
    """Return the images below a folder in order of name, without masks, as `list_images` does."""
    images, _ = split_masks(folder, _image_files(folder))
    return [picture for file in images for picture in pictures_in(file)]


def list_images(root: Path) -> ImageList:
    """Return the images below a folder and their classes.

    The class is the first folder below `root`. If all these folders are PARTS, as in train/good and
    test/scratch, it is the second one, and test is the official test part. Folders called images
    do not count. Hidden and system files are skipped, and masks are assigned to their images, see
    `split_masks`. Raises a UserError if there is no image, or if some lie outside of any class.
    """
    files, notes = _image_files(root), _unread_note(root)
    images, mask_of = split_masks(root, files)
    if not images:
        raise UserError(f"{root} holds masks only; name the folder that holds the images as well.")
    of_parent = {parent: _class_folders(root, parent) for parent in {f.parent for f in images}}
    folders = [of_parent[file.parent] for file in images]
    wrappers = sorted({names[0] for names in folders if names[1:] and names[1].lower() in PARTS})
    if wrappers and all(names[1:] and names[1].lower() in PARTS for names in folders):
        if len(wrappers) == 1 and (root / wrappers[0]).is_dir():
            return list_images(root / wrappers[0])
        raise UserError(
            f"{root} holds several data sets, {' and '.join(wrappers[:SHOWN_FOLDERS])}; give one, "
            f"such as {root / wrappers[0]}."
        )
    with_parts = all(names and names[0].lower() in PARTS for names in folders)
    is_test = None
    if with_parts:
        is_test = [names[0].lower() in TEST_PARTS for names in folders]
        folders = [names[1:] for names in folders]
        is_test = is_test if any(is_test) and not all(is_test) else None
    labels = _labels(root, images, folders, with_parts)
    normal = _normal_class(labels, is_test) if labels and with_parts else None
    pages = [pictures_in(file) for file in images]
    counts = [len(group) for group in pages]
    notes += _notes(root, images, files)
    return ImageList(
        root,
        [picture for group in pages for picture in group],
        None if labels is None else repeated(labels, counts),
        None if is_test is None else repeated(is_test, counts),
        repeated([mask_of.get(file) for file in images], counts) if mask_of else None,
        normal,
        notes,
    )


def repeated(items: Sequence[Item], counts: Sequence[int]) -> list[Item]:
    """Return each item as often as its file has pages."""
    return [item for item, count in zip(items, counts, strict=True) for _ in range(count)]


def _image_files(folder: Path) -> list[Path]:
    """Return the image files and masks below a folder in order of name; skip hidden ones."""
    found = []
    for parent, _, files in _walk(folder):
        found += [
            Path(parent, name)
            for name in files
            if name[0] != "." and name[name.rfind(".") :].lower() in SUFFIXES
        ]
    if not found:
        raise UserError(f"{folder} holds no image ({', '.join(sorted(SUFFIXES))}).")
    return sorted(found)


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield a folder and those below it as `os.walk` does; follow links, but none in a circle."""
    seen = set[str]()
    for parent, names, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if name[0] != "." and name not in IGNORED)
        yield parent, names, files


def _unread_note(root: Path) -> list[str]:
    """Return a sentence about files of images and videos that are not read."""
    suffixes = (Path(name).suffix.lower() for _, _, files in _walk(root) for name in files)
    found = Counter(suffix for suffix in suffixes if suffix in UNREAD_SUFFIXES)
    if not found:
        return []
    kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(found.items()))
    return [f"files that are not read: {kinds}; convert them to .png if they are images of the set"]


def _class_folders(root: Path, folder: Path) -> tuple[str, ...]:
    names = folder.relative_to(root).parts
    return tuple(name for name in names if name.lower() not in IMAGE_FOLDERS)


def _labels(
    root: Path, images: Sequence[Path], folders: Sequence[tuple[str, ...]], with_parts: bool
) -> list[str] | None:
    """Return the class of each image; None if there are no folders of classes."""
    loose = [file for file, names in zip(images, folders, strict=True) if not names]
    if len(loose) == len(images):
        return None
    if loose and not with_parts:
        raise UserError(
            f"{root} holds {loose[0].relative_to(root)} outside of any class; sort all images into "
            "one subfolder per class, or put them all into one folder."
        )
    return [names[0] if names else UNNAMED for names in folders]


def _normal_class(labels: Sequence[str], is_test: Sequence[bool] | None) -> str | None:
    """Return the class of a train part that has one class only, else that of a usual name."""
    test_part = [False] * len(labels) if is_test is None else is_test
    train = {label for label, test in zip(labels, test_part, strict=True) if not test}
    if len(train) == 1:
        return train.pop()
    usual = {label.lower(): label for label in train}
    return next((usual[name] for name in NORMAL_CLASSES if name in usual), None)


def _notes(root: Path, images: Sequence[Path], files: Sequence[Path]) -> list[str]:
    """Return a sentence about folders without images."""
    folders = {file.parent for file in files}
    used = folders.union(*(folder.parents for folder in folders))
    empty = []
    for parent, names, _ in _walk(root):
        empty += [Path(parent, name) for name in names if Path(parent, name) not in used]
        names[:] = [name for name in names if Path(parent, name) in used]
    if not empty:
        return []
    shown = ", ".join(path.relative_to(root).as_posix() for path in empty[:SHOWN_FOLDERS])
    more = f" and {len(empty) - SHOWN_FOLDERS} more" if len(empty) > SHOWN_FOLDERS else ""
    verb = "holds" if len(empty) == 1 else "hold"
    return [f"{counted(len(empty), 'folder')} ({shown}{more}) {verb} no image"]
