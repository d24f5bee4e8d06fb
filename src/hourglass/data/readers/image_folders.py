"""The images of a folder, and the class of each by its subfolder."""

from pathlib import Path

from hourglass.core.errors import UserError

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
PARTS = {"train", "validation", "val", "test"}  # folders above those of classes
IGNORED = {"ground_truth", "__MACOSX"}  # masks of defects; metadata that macOS adds to archives


def images_below(folder: Path) -> list[Path]:
    """Return the image files below a folder in order of name.

    Hidden files and folders, and the folders IGNORED, are skipped. Raises a UserError if there is
    no image.
    """
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    found = {file: file.relative_to(folder).parts for file in files if not file.is_dir()}
    images = sorted(
        file
        for file, parts in found.items()
        if parts[0] not in IGNORED and not any(part[0] == "." for part in parts)
    )
    if not images:
        raise UserError(f"{folder} holds no image ({', '.join(sorted(SUFFIXES))}).")
    return images


def find_images(path: Path) -> dict[Path, str]:
    """Return the files of `images_below`, and the class of each.

    The class is the first subfolder, or the second if all first ones are PARTS, as in
    train/good. Images without any subfolder are of the class "normal".
    """
    images = {file: file.relative_to(path).parts for file in images_below(path)}
    loose = [parts[0] for parts in images.values() if len(parts) == 1]
    if len(loose) == len(images):
        return dict.fromkeys(images, "normal")
    if loose:
        raise UserError(
            f"{path} holds {loose[0]} outside of any class; sort all images into one subfolder per "
            "class, or put them all into one folder."
        )
    _require_images_per_class(path, {parts[0] for parts in images.values()})
    has_parts = all(parts[0] in PARTS and len(parts) > 2 for parts in images.values())
    return {file: parts[1 if has_parts else 0] for file, parts in images.items()}


def _require_images_per_class(path: Path, classes: set[str]) -> None:
    folders = {folder.name for folder in path.iterdir() if folder.is_dir()}
    empty = sorted(name for name in folders - classes - IGNORED if name[0] != ".")
    if empty:
        raise UserError(
            f"{path / empty[0]} holds no image; put images of its class there or remove it."
        )
