"""User-provided images: an .npz file, or a folder with one subfolder per class."""

from pathlib import Path

import numpy as np

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.data.base import DataSet, Fractions, Raw
from hourglass.data.readers.image_files import read_folder, read_npz
from hourglass.data.readers.user_files import ClassNames, anomaly_mask, resolve_path


class Images(DataSet):
    """An .npz file or a folder of images; `normal` names the classes that are normal.

    An .npz file holds `x`, uint8 images of shape (N, H, W), (N, H, W, C) or (N, C, H, W), and
    optionally `y`, (N,) classes. C is 1 or 3. The last axis is the channel axis if its length is 1
    or 3, else the second axis is. A folder holds images (png, jpg, bmp and others) of one size, in
    one subfolder per class, in folders such as train/good and test/scratch, or without subfolders.
    Images of a folder have one channel if all are grey, else three (red, green, blue).

    Without `normal` every image is normal. `size` resizes to `size` x `size` pixels. `grey`
    converts colours to one channel (ITU-R 601). `path` is relative to the working directory.
    """

    def __init__(
        self,
        path: str,
        normal: ClassNames = None,
        size: int | None = None,
        grey: bool = False,
        fractions: Fractions = Fractions(),
    ) -> None:
        super().__init__(fractions=fractions)
        self.path = path
        self.normal = normal
        self.size = size
        self.grey = grey

    def load(self, folder: Path) -> Raw:
        """Load the (N, C, H, W) images; `folder` is not read.

        Raises a UserError that names the file and its defect.
        """
        if self.size is not None and self.size < 1:
            raise UserError(f"`size` is {self.size}; give a number of pixels, or omit it.")
        path = resolve_path(self.path)
        label: np.ndarray | None
        if path.is_dir():
            x, label, ids = read_folder(path, self.size, self.grey)
            files = {str(name): sha256(path / name) for name in ids}
        else:
            x, label = read_npz(path, self.size, self.grey)
            ids = np.array([f"{path.name}/{i}" for i in range(len(x))])
            files = {path.name: sha256(path)}
        if self.normal is None:
            anomaly = np.zeros(len(x), dtype=bool)
        elif label is None:
            raise UserError(
                f"`normal` is {self.normal!r} but {path} holds no array `y` of classes; add it, or "
                "omit `normal` if every image is normal."
            )
        else:
            anomaly = anomaly_mask(label, self.normal, path)
        return Raw(
            x=x,
            label=np.full(len(x), "normal") if label is None else label,
            anomaly=anomaly,
            id=ids,
            source={
                "name": path.stem,
                "licence": "not stated (the user's own images)",
                "complete": True,
                "files": files,
            },
            full_scale=255.0,
        )
