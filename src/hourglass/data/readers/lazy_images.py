"""Images of a data set that stay in their files and are decoded in threads when they are taken."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hourglass.core.atomic import write_json
from hourglass.core.checksums import CorruptFileError, verify_checksums
from hourglass.core.errors import UserError, one_line
from hourglass.data.lazy_array import LazyArray
from hourglass.data.readers.image_files import Picture, decode
from hourglass.data.readers.image_format import ImageFormat
from hourglass.data.readers.in_threads import WORKERS
from hourglass.data.readers.pixels import scale_bytes
from hourglass.data.readers.user_files import check_file_type, resolve_path


class LazyImages(LazyArray):
    """Images, (N, C, H, W), in files; equal to the array into which `prepare` would pack them.

    `files` maps the names of the files below `root` to their SHA-256. A file is compared with it
    whenever it is read. `full_scale` is the value of white.

    Indexing raises a UserError, which names the file, if one is missing, damaged or changed.
    """

    saved_as: ClassVar[str] = "x.json"

    def __init__(
        self,
        root: Path,
        pictures: Sequence[Picture],
        files: Mapping[str, str],
        image_format: ImageFormat,
        size: tuple[int, int],
        full_scale: float,
    ) -> None:
        shape = (len(pictures), image_format.channels, *size)
        super().__init__(shape, image_format.dtype)
        self.root = root
        self.pictures = pictures
        self.files = files
        self.format = image_format
        self.full_scale = full_scale

    def subset(self, rows: slice | np.ndarray) -> "LazyImages":
        """Return selected images without decoding them."""
        pictures = [self.pictures[row] for row in self.row_numbers(rows).tolist()]
        size = self.shape[2], self.shape[3]
        return LazyImages(self.root, pictures, self.files, self.format, size, self.full_scale)

    def identity(self) -> bytes:
        """Return the digests of the files, and what else decides the pixels."""
        settings = [self.format.settings(), self.shape, self.dtype.str, self.full_scale]
        pages = [(self._digest(picture), picture.page) for picture in self.pictures]
        return json.dumps([settings, pages]).encode()

    def save(self, folder: Path) -> None:
        """Write the name below `root` and the page of each image to a folder, for `load`."""
        names = [[self._name(picture), picture.page] for picture in self.pictures]
        write_json(folder / self.saved_as, names)

    def storage(self) -> dict[str, Any]:
        """Return what the data card holds of images in files, as JSON values."""
        return {
            "kind": "files",
            "root": self.root.as_posix(),
            "size": list(self.shape[2:]),
            "full_scale": self.full_scale,
        }

    @classmethod
    def load(cls, folder: Path, card: Mapping[str, Any]) -> "LazyImages":
        """Return the images that `save` wrote; raises a ValueError if the file is damaged."""
        names = json.loads((folder / cls.saved_as).read_text(encoding="utf-8"))
        storage = card["storage"]
        root = resolve_path(storage["root"])
        pictures = [Picture(root / name, page) for name, page in names]
        form, (height, width) = ImageFormat.of_inputs(card), storage["size"]
        files = card["source"]["files"]
        return cls(root, pictures, files, form, (height, width), storage["full_scale"])

    def _compute(self, rows: np.ndarray) -> np.ndarray:
        images = np.empty((len(rows), *self.shape[1:]), self.dtype)

        def read(place: int) -> None:
            images[place] = self._image(self.pictures[rows[place]])

        if len(rows) == 1:
            read(0)
            return images
        for _ in _pool(os.getpid()).map(read, range(len(rows))):
            pass
        return images

    def _image(self, picture: Picture) -> np.ndarray:
        """Return the pixels of an image, (C, H, W)."""
        stored = decode(picture, self.format.background, self._content(picture))
        pixels = self.format.fit(stored, picture).transpose(2, 0, 1)
        if pixels.shape != self.shape[1:]:  # a file of another format with the same digest
            raise UserError(f"{picture} has shape {pixels.shape}, not {self.shape[1:]}.")
        if stored.dtype == np.uint8 and self.dtype != np.uint8:
            return scale_bytes(pixels.astype(self.dtype), self.dtype, self.full_scale)
        return pixels

    def _content(self, picture: Picture) -> bytes | None:
        """Return the content of a file, None for one of several pages, if it did not change."""
        file, expected = picture.file, self._digest(picture)
        try:
            check_file_type(file)
            if picture.page is not None:  # the file is hashed once, not for every page
                verify_checksums(file.parent, {file.name: expected})
                return None
            content = file.read_bytes()
        except CorruptFileError:
            raise _changed(file) from None
        except OSError as error:
            raise UserError(
                f"{file} cannot be read ({one_line(error)}); the data set needs its image files: "
                "restore it, or run `hourglass prepare` again."
            ) from None
        if hashlib.sha256(content).hexdigest() != expected:
            raise _changed(file)
        return content

    def _digest(self, picture: Picture) -> str:
        return self.files[self._name(picture)]

    def _name(self, picture: Picture) -> str:
        return picture.file.relative_to(self.root).as_posix()


def _changed(file: Path) -> UserError:
    return UserError(
        f"{file} changed since `hourglass prepare` read it; restore it, or prepare the data set "
        "again."
    )


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of this process; those of its parent do not exist here."""
    return ThreadPoolExecutor(WORKERS, "images")
