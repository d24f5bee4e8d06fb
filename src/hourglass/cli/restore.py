"""The verb `restore`: a trained, calibrated cell and a file of images -> what it makes of them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hourglass.core.atomic import atomic_file, atomic_folder
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell

if TYPE_CHECKING:
    from hourglass.studies.restoration.contact_sheet import Pairs
    from hourglass.studies.restoration.restorer import Restorer

WRITTEN = "hourglass restore"  # in every PNG, so that none of another hand is taken away


def restore(
    data: str,
    model: str,
    file: Path,
    out: Path | None = None,
    resize: bool = False,
    tile: bool = False,
) -> Path:
    """Remove from images what a network was trained to remove: noise, holes, coarse pixels.

    Writes a PNG an image, of the same name, into a folder, and beside it <folder>-sheet.png, the
    first twenty above what became of them. Images are read as grey or in colour, as the network
    needs. A network trained with `downsampling` also takes images with that many times fewer pixels
    a side; one trained with `grey` colours grey ones. The file may be larger than memory.

    Args:
        data: a data set of images, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        file: an image, a folder of images, or an .npz file with an array x
        out: the folder to write; <file>-restored in the working folder if none
        resize: resize images of another size
        tile: restore images larger than the network's in windows that overlap

    """
    folder = out or Path(f"{file.stem}-restored")
    _check(folder, file, resize, tile)
    cell = Cell(data, model)
    cell.need("train", "calibrate-threshold")
    from hourglass.studies.restoration.contact_sheet import Pairs
    from hourglass.studies.restoration.restorer import Restorer

    restorer, pairs = Restorer.load(cell, tile), Pairs()
    with atomic_folder(folder) as temporary, atomic_file(_sheet(folder)) as sheet:
        count = _restore(file, restorer, resize, temporary, pairs)
        pairs.draw(sheet)
    print(f"{count:,} images in {folder.as_posix()}\nthe sheet is {_sheet(folder).as_posix()}")
    return folder


def _sheet(folder: Path) -> Path:
    """Return the path of a folder's sheet: not in it, so that all in it is restored."""
    return folder.with_name(f"{folder.name}-sheet.png")


def _check(folder: Path, file: Path, resize: bool, tile: bool) -> None:
    """Refuse a folder that holds what was not written by this verb: it will be replaced."""
    if resize and tile:
        raise UserError("resize and tile exclude each other; leave one of them out.")
    there, source = folder.resolve(), file.resolve()
    if source in (there, _sheet(there), *there.parents) or there in source.parents:
        raise UserError(
            f"out is {folder}, which is not apart from {file}; name another folder to write."
        )
    if not folder.exists():
        return
    files = [each for each in folder.rglob("*") if not each.is_dir()] if folder.is_dir() else None
    if files is None or not all(map(_written, files)):
        raise UserError(f"out is {folder}, which holds other files; name a new folder to write.")


def _written(file: Path) -> bool:
    """Return whether a file is a PNG that this verb wrote."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.info.get("Software") == WRITTEN
    except OSError:  # no image
        return False


def _restore(file: Path, restorer: "Restorer", resize: bool, folder: Path, pairs: "Pairs") -> int:
    """Write what becomes of each image of the file, portion by portion; return how many."""
    from tqdm import tqdm

    from hourglass.data.readers.chunks import prefetch, read_chunks

    written: set[Path] = set()
    found = read_chunks(file, restorer.detector, None, resize, restorer.accepts)
    with tqdm(desc=file.name, unit=" images", disable=None) as progress:
        for portion in prefetch(found):
            seen, restored = restorer(portion.x)
            for id, before, after in zip(portion.id.to_pylist(), seen, restored, strict=True):
                path = _name(id, file)
                _need_new(path, written, id)
                _save(after, folder / path)
                pairs.add(before, after)
            progress.update(len(seen))
    if not written:
        raise UserError(f"{file} holds no images.")
    return len(written)


def _name(id: str, file: Path) -> Path:
    """Return the path of an image's PNG: the number of one in an .npz file, or the same name."""
    name = Path(id)
    return Path(f"{name.name}.png") if file.suffix.lower() == ".npz" else name.with_suffix(".png")


def _need_new(path: Path, written: set[Path], id: str) -> None:
    """Note the path of a PNG, or raise a UserError where another file is written there."""
    if path in written:
        raise UserError(f"{id} would become {path}, which is another picture's; rename it.")
    written.add(path)


def _save(x: np.ndarray, path: Path) -> None:
    """Write an image, (C, H, W) from 0 to 1, as PNG."""
    from PIL.PngImagePlugin import PngInfo

    from hourglass.studies.restoration.contact_sheet import pixels

    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    info.add_text("Software", WRITTEN)
    pixels(x).save(path, pnginfo=info)
