"""Command `restore`: remove corruptions from the user's images with a trained network."""

from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.core.atomic import atomic_file, atomic_folder
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.suggestions import counted

if TYPE_CHECKING:
    from hourglass.studies.restoration.restorer import ContactSheet, Restorer

SOFTWARE = "hourglass restore"  # metadata of every PNG; only folders of such files are replaced


def restore(
    data: str,
    model: str,
    file: Path,
    out: Path | None = None,
    resize: bool = False,
    tile: bool = False,
) -> Path:
    """Restore images with a network that was trained to remove a corruption.

    Corruptions are, for example, noise, holes or a low resolution. Writes one PNG per image, of the
    same name, into a folder. Also writes a contact sheet, <folder>-sheet.png: the first twenty
    inputs above their outputs.

    Images are converted to grey or colour, as the network requires. A network trained with
    `downsampling` also accepts images that are smaller by that factor. A network trained with
    `grey` colours grey images. The file may be larger than memory.

    Args:
        data: a data set of images, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        file: an image, a folder of images, or an .npz file with an array x
        out: the folder to write; by default <file>-restored in the working folder
        resize: resize images of another size
        tile: restore images larger than the network's input in overlapping windows

    Examples:
        hourglass restore digits denoising noisy.png
        hourglass restore photographs denoising noisy --tile --out clean

    """
    folder = out or Path(f"{file.stem}-restored")
    sheet_path = folder.with_name(f"{folder.name}-sheet.png")
    if resize and tile:
        raise UserError("resize and tile exclude each other; leave one of them out.")
    _check_output(folder, sheet_path, file)
    from hourglass.studies.restoration.restorer import ContactSheet, Restorer

    restorer, sheet = Restorer.load(Cell(data, model), tile), ContactSheet()
    with atomic_folder(folder) as temporary, atomic_file(sheet_path) as sheet_file:
        count = _restore(file, restorer, resize, temporary, sheet)
        sheet.draw(sheet_file)
    print(f"{counted(count, 'image')} in {folder.as_posix()}")
    print(f"the contact sheet is {sheet_path.as_posix()}")
    return folder


def _check_output(folder: Path, sheet_path: Path, file: Path) -> None:
    """Raise a UserError if the input or other files would be overwritten."""
    target, source = folder.resolve(), file.resolve()
    if source in (target, sheet_path.resolve(), *target.parents) or target in source.parents:
        raise UserError(f"out is {folder}, which would overwrite {file}; name another folder.")
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    if folder.is_file() or not all(map(_is_restored, files)):
        raise UserError(f"out is {folder}, which holds other files; name a new folder to write.")


def _is_restored(file: Path) -> bool:
    """Return whether a file was written by this command, according to its metadata."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.info.get("Software") == SOFTWARE
    except OSError:  # not an image
        return False


def _restore(
    file: Path, restorer: "Restorer", resize: bool, folder: Path, sheet: "ContactSheet"
) -> int:
    """Restore the images of a file chunk by chunk, write them, and return their number."""
    from PIL.PngImagePlugin import PngInfo

    from hourglass.core.progress_bar import ProgressBar
    from hourglass.data.readers.chunks import read_chunks
    from hourglass.data.streaming import prefetch
    from hourglass.studies.restoration.restorer import to_pillow

    metadata = PngInfo()
    metadata.add_text("Software", SOFTWARE)
    is_array = file.suffix.lower() == ".npz"
    written: set[Path] = set()
    chunks = read_chunks(file, restorer.detector, None, resize, restorer.accepts)
    with ProgressBar(desc=file.name, unit=" images") as progress:
        for chunk in prefetch(chunks):
            inputs, outputs = restorer(chunk.x)
            for id, before, after in zip(chunk.id.to_pylist(), inputs, outputs, strict=True):
                # An .npz file numbers its images: <file>/<number>.
                path = Path(f"{Path(id).name}.png") if is_array else Path(id).with_suffix(".png")
                if path in written:
                    raise UserError(f"two images would become {path}; rename {id}.")
                written.add(path)
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                to_pillow(after).save(folder / path, pnginfo=metadata)
                sheet.add(before, after)
            progress.update(len(inputs))
    if not written:
        raise UserError(f"{file} holds no images.")
    return len(written)
