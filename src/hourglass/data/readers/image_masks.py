"""Masks of defects beside images: their files, and the image of each."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

# Names of folders, in lower case.
PARTS = {"train", "training", "validation", "valid", "val", "test", "testing"}
IMAGE_FOLDERS = {"image", "images", "img", "imgs"}
CERTAIN_MASK_FOLDERS = {"ground_truth", "groundtruth"}
LIKELY_MASK_FOLDERS = {"mask", "masks"}  # if their files are named like images
# A class may have one of the others as its name.
MASK_FOLDERS = CERTAIN_MASK_FOLDERS | LIKELY_MASK_FOLDERS | {"gt", "label", "labels"}
NO_MASK = re.compile(r"(no|non|un|without).?mask(s|ed)?")  # a class beside a class mask
ENDINGS = ("_mask", "-mask", "_gt", "_label", "_seg")  # of the names of masks, before the suffix


def split_masks(root: Path, files: Sequence[Path]) -> tuple[list[Path], dict[Path, Path]]:
    """Return the files that are images, and the mask of each image that has one.

    A mask has the name of its image, or that name and one of ENDINGS, and the same class and part.
    It lies beside the image, with an ending, or in one of MASK_FOLDERS. A folder such as `label`
    counts as one if its files have endings, or if the images lie in one of IMAGE_FOLDERS.
    """
    folders_of = {parent: _folders(root, parent) for parent in _parents(files)}
    if any(NO_MASK.fullmatch(name) for names in folders_of.values() for name in names):
        return [*files], {}
    masks = {file for file in files if folders_of[file.parent] & CERTAIN_MASK_FOLDERS}
    images = [file for file in files if not folders_of[file.parent] & MASK_FOLDERS]
    stems = {file.stem for file in images}
    has_image_folder = any(folders_of[parent] & IMAGE_FOLDERS for parent in _parents(images))
    for file in files:
        folders = folders_of[file.parent]
        if folders & MASK_FOLDERS:
            stem = _image_stem(file)
            likely = has_image_folder or folders & LIKELY_MASK_FOLDERS or stem != file.stem
            if likely and stem in stems:
                masks.add(file)
    with_ending = [(file, stem) for file in images if (stem := _image_stem(file)) != file.stem]
    if with_ending:
        beside = {(file.parent, file.stem) for file in images}
        masks.update(file for file, stem in with_ending if (file.parent, stem) in beside)
    images = [file for file in files if file not in masks] if masks else [*files]
    return images, _assign(root, images, masks)


def _assign(root: Path, images: Sequence[Path], masks: set[Path]) -> dict[Path, Path]:
    if not masks:
        return {}
    of_key = {(*_key(root, mask), _image_stem(mask)): mask for mask in sorted(masks)}
    times = Counter(image.stem for image in images)
    found = dict[Path, Path]()
    for image in images:
        part, classes = _key(root, image)
        keys = [(part, classes), (None, classes)]
        if times[image.stem] == 1:  # the mask may lie outside of the folder of a class
            keys += [(part, ()), (None, ())]
        matches = (of_key.get((*key, image.stem)) for key in keys)
        mask = next((mask for mask in matches if mask is not None), None)
        if mask is not None:
            found[image] = mask
    return found


def _key(root: Path, file: Path) -> tuple[str | None, tuple[str, ...]]:
    """Return the part (train, test), None without one, and the folders of classes."""
    names = file.relative_to(root).parts[:-1]
    part = next((name.lower() for name in names if name.lower() in PARTS), None)
    others = PARTS | IMAGE_FOLDERS | MASK_FOLDERS
    return part, tuple(name for name in names if name.lower() not in others)


def _parents(files: Sequence[Path]) -> set[Path]:
    return {file.parent for file in files}


def _folders(root: Path, folder: Path) -> set[str]:
    return {name.lower() for name in folder.relative_to(root).parts}


def _image_stem(mask: PurePath) -> str:
    """Return the stem of the image that a mask belongs to, if the file is a mask."""
    stem = mask.stem
    if not stem.lower().endswith(ENDINGS):
        return stem
    ending = next(ending for ending in ENDINGS if stem.lower().endswith(ending))
    return stem[: len(stem) - len(ending)]
