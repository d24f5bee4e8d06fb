"""User-provided images: a folder, a table of paths, or an .npz or .npy file."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from PIL import ImageColor

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.data.base import DataSet, Fractions, Raw
from hourglass.data.geometry import Geometry, Size, find_sides, make_geometry
from hourglass.data.readers.image_arrays import read_image_array
from hourglass.data.readers.image_folders import UNNAMED, ImageList, list_images
from hourglass.data.readers.image_format import ImageFormat
from hourglass.data.readers.image_index import is_index, read_index
from hourglass.data.readers.image_set import Storage, fit_array, read_pictures
from hourglass.data.readers.lazy_images import LazyImages
from hourglass.data.readers.mask_files import read_masks
from hourglass.data.readers.numpy_files import SUFFIXES as ARRAY_SUFFIXES
from hourglass.data.readers.pixels import find_full_scale
from hourglass.data.readers.user_files import ClassNames, anomaly_mask, resolve_path
from hourglass.data.tiling import TileCombine, Tiling

DEFECTIVE, FLAWLESS = "defect", "good"  # classes by the mask, of images without classes


class Images(DataSet):
    """Images in a folder, in a table of paths, or in an .npz or .npy file.

    A folder has one of these layouts; hidden and system files are skipped:

    - MVTec: `train/good`, `test/good`, `test/<defect>`, with masks in
      `ground_truth/<defect>/<name>_mask.png`. The test part is the test split; validation,
      calibration and tuning are taken from train. The class of `train` is normal by default.
    - One subfolder per class, with any folders below; or no subfolders.
    - Masks may also lie in a folder `masks`, or beside their image as `<name>_mask.png`. A pixel
      of a mask that is not 0 is defective. If there are masks and no classes, the images without
      defective pixels are normal.

    A table (.csv, .tsv, .parquet) has a column of paths, absolute or relative to its folder, and if
    known, columns of labels, masks, and splits ("test" is the test split). They are found by usual
    names, or named in `columns` with the keys path, label, mask and split.

    An .npz file holds images as (N, H, W), (N, H, W, C) or (N, C, H, W) and, if known, classes as
    (N,) or (N, 1), under any names; x_test and y_test are the official test part. Masks, (N, H, W),
    decide which images are normal if there are no classes. An .npy file holds images only.

    Files may be PNG, JPEG, TIFF of one or several pages, BMP, WebP and others, with 1, 8 or 16 bits
    or floats. EXIF orientation is applied, and transparent pixels are composited on `background`.
    The images have one channel if all are grey, else three, or as many as their TIFF files.

    Args:
        path: the folder or file, relative to the working directory
        normal: the classes that are normal; without it every image is, except in MVTec's layout
        size: pixels, the side of a square or [height, width]; by default that of the images, or
            the median if they differ
        fit: how an image gets this size: `pad` (scaled to fit, border pixels repeated), `crop`
            (scaled to cover, middle part kept) or `resize` (height and width scaled independently).
            With `tile`, large images keep their own sizes, and the network sees tiles of `size`
        overlap: with `fit: tile`, the least overlap of neighbouring tiles, as a share of a side
        combine: with `fit: tile`, the score of an image: `max` or `mean` of its tiles' scores
        grey: whether to convert colours to one channel (ITU-R 601)
        background: the colour behind transparent pixels, by name or as "#rrggbb"
        full_scale: the value of white in images of more than 8 bits. By default the highest of 10,
            12, 14 or 16 bits, the first that holds all pixels; and for floats 1 or 255
        skip_damaged: whether to skip files that cannot be read, instead of stopping
        storage: `packed` copies the decoded images into the prepared data; `files` keeps the names
            of the files only and decodes them in training and scoring, which gives the same
            results. `auto` packs them unless they would take a quarter of the free disk
        columns: names of the columns of a table of images
        fractions: fractions of the splits

    """

    def __init__(
        self,
        path: str,
        normal: ClassNames = None,
        size: Size | None = None,
        fit: str = "pad",
        overlap: float = 0.25,
        combine: TileCombine = "max",
        grey: bool = False,
        background: str = "white",
        full_scale: float | None = None,
        skip_damaged: bool = False,
        storage: Storage = "auto",
        columns: dict[str, str] | None = None,
        fractions: Fractions = Fractions(),
    ) -> None:
        super().__init__(fractions=fractions)
        self.path = path
        self.normal = normal
        self.size = size
        self.fit = fit
        self.overlap = overlap
        self.combine = combine
        self.grey = grey
        self.background = background
        self.full_scale = full_scale
        self.skip_damaged = skip_damaged
        self.storage = storage
        self.columns = columns

    def load(self, folder: Path) -> Raw:
        """Load the (N, C, H, W) images; `folder` is not read.

        Raises a UserError that names the file and its defect.
        """
        geometry = make_geometry(self.size, self.fit)
        if self.storage not in get_args(Storage):
            raise UserError(
                f"`storage` is {self.storage!r}; give one of {', '.join(get_args(Storage))}."
            )
        if self.storage == "files" and self.fit == "tile":
            raise UserError(
                "`storage: files` and `fit: tile` exclude each other, because every tile would "
                "decode its image; omit `storage`."
            )
        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            raise UserError(
                f"`background` is {self.background!r}; give a colour such as white or '#ffffff'."
            ) from None
        path = resolve_path(self.path)
        if path.suffix.lower() in ARRAY_SUFFIXES and path.is_file():
            return self._load_array(path, geometry)
        if not path.is_dir() and not is_index(path):
            read_image_array(path)  # raises the error
        images = list_images(path) if path.is_dir() else read_index(path, self.columns)
        return self._load_files(path, images, geometry)

    def _load_files(self, path: Path, images: ImageList, geometry: Geometry) -> Raw:
        found = read_pictures(
            images.pictures,
            geometry,
            self.grey,
            self.background,
            self.full_scale,
            self.skip_damaged,
            "packed" if self.fit == "tile" else self.storage,
        )
        kept = found.kept
        label = None if images.labels is None else np.array(images.labels)[kept]
        test = None if images.is_test is None else np.array(images.is_test)[kept]
        mask, notes, classes_known = None, list[str](), label is not None
        anomaly = self._anomaly(label, images.normal, path) if classes_known else None
        if images.masks is not None:
            files = [images.masks[row] for row in kept]
            geometry, decide = found.format.geometry, label is None
            mask, is_defective, notes = read_masks(files, found.sizes, geometry, anomaly, decide)
            if label is None:
                label = np.where(is_defective, DEFECTIVE, FLAWLESS)
                anomaly = self._anomaly(label, FLAWLESS, path)
        pictures, ids = [images.pictures[row] for row in kept], np.array(images.ids)[kept]
        digests = {
            name if picture.page is None else name.rpartition("#")[0]: found.digests[picture.file]
            for picture, name in zip(pictures, ids.tolist(), strict=True)
        }
        if is_index(path) and path.is_file():
            digests[Path(os.path.relpath(path, images.root)).as_posix()] = sha256(path)
        masks = {images.masks[row] for row in kept} if images.masks is not None else set()
        digests |= {
            mask.relative_to(images.root).as_posix(): sha256(mask)
            for mask in sorted(filter(None, masks))
        }
        x = found.x
        if x is None:
            size = found.format.geometry.size or (int(found.sizes[0, 0]), int(found.sizes[0, 1]))
            lazy = LazyImages(images.root, pictures, digests, found.format, size, found.full_scale)
            x = cast(np.ndarray, lazy)
        raw = self._raw(path, x, label, anomaly, ids, digests, found.format)
        raw.source["notes"] = [*images.notes, *found.notes, *notes]
        tiling = self._tiling(raw.x, found.format.channels)
        white = found.full_scale
        return replace(raw, full_scale=white, official_test=test, mask=mask, tiling=tiling)

    def _tiling(self, x: np.ndarray, channels: int) -> Tiling | None:
        """Return the tiling of images, (N, channels or one more, H, W), if it is set."""
        if self.fit != "tile":
            return None
        if self.size is None:
            raise UserError("`fit: tile` needs `size`, that of a tile; set it, such as 256.")
        sides, padded = find_sides(self.size), x.shape[1] > channels
        return Tiling(channels, *sides, self.overlap, self.combine, padded)

    def _load_array(self, path: Path, geometry: Geometry) -> Raw:
        if self.storage == "files":
            raise UserError(
                f"`storage` is 'files', but {path} is an array file; omit `storage`, or give a "
                "folder or table of images."
            )
        images = read_image_array(path)
        x, mask = fit_array(images.x, images.mask, geometry, self.grey, path)
        ids = np.array([f"{path.name}/{i}" for i in range(len(x))])
        label, default = images.label, None
        if label is None and images.mask is not None:
            is_defective = images.mask.any((1, 2))
            label, default = np.where(is_defective, DEFECTIVE, FLAWLESS), FLAWLESS
        anomaly = self._anomaly(label, default, path)
        form = ImageFormat(x.shape[1], x.dtype, geometry, self.grey)
        raw = self._raw(path, x, label, anomaly, ids, {path.name: sha256(path)}, form)
        white = find_full_scale(x, self.full_scale, path)
        test, tiling = images.is_test, self._tiling(x, x.shape[1])
        return replace(raw, full_scale=white, official_test=test, mask=mask, tiling=tiling)

    def _anomaly(
        self, label: np.ndarray | None, default: str | None, path: Path
    ) -> np.ndarray | None:
        """Return the anomalous images, (N,) bool; None if all are normal."""
        normal = default if self.normal is None else self.normal
        if normal is None:
            return None
        if label is None:
            raise UserError(
                f"`normal` is {normal!r} but {path} holds no classes, as folders or as an array "
                "`y`; add them, or omit `normal` if every image is normal."
            )
        return anomaly_mask(label, normal, path, may_be_all=True)

    def _raw(
        self,
        path: Path,
        x: np.ndarray,
        label: np.ndarray | None,
        anomaly: np.ndarray | None,
        ids: np.ndarray,
        files: Mapping[str, str],
        form: ImageFormat,
    ) -> Raw:
        source: dict[str, Any] = {
            "name": path.stem,
            "licence": "not stated (the user's own images)",
            "complete": True,
            "files": dict(files),
            "images": form.settings(),
        }
        return Raw(
            x=x,
            label=np.full(len(x), UNNAMED) if label is None else label,
            anomaly=np.zeros(len(x), bool) if anomaly is None else anomaly,
            id=ids,
            source=source,
            full_scale=1.0,
        )
