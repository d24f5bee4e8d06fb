"""Read the user's own images: an .npz file, or a folder with one subfolder a class."""

from pathlib import Path

import numpy as np

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.data.base import DataSet, Fractions, Raw
from hourglass.data.readers.image_files import read_folder, read_npz
from hourglass.data.readers.user_files import Names, anomalous, locate


class Images(DataSet):
    """Take an .npz file or a folder of images; `normal` names the classes that are normal.

    An .npz holds `x`, uint8, (N, H, W) or (N, H, W, C) or (N, C, H, W), and perhaps `y`, (N,)
    classes. C is 1 or 3: where the last axis is that long it is C, else the second one is. A
    folder holds one subfolder a class, with png, jpg, bmp and the like in it, all of one size;
    they are read as one channel where all are grey, as red, green and blue else.

    Without `normal` every image is. `size` resizes to `size` x `size` pixels, `grey` turns colours
    to one channel (ITU-R 601). `path` is relative to the working directory.
    """

    def __init__(
        self,
        path: str,
        normal: Names = None,
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
        """Return the (N, C, H, W) images; `folder` is not read.

        A UserError names the file, and what of it cannot be used.
        """
        if self.size is not None and self.size < 1:
            raise UserError(f"`size` is {self.size}; give a number of pixels, or leave it out.")
        path = locate(self.path)
        label: np.ndarray | None
        if path.is_dir():
            x, label, ids = read_folder(path, self.size, self.grey)
            files = {str(name): sha256(path / name) for name in ids}
        else:
            x, label = read_npz(path, self.size, self.grey)
            ids = np.array([f"{path.name}/{i}" for i in range(len(x))])
            files = {path.name: sha256(path)}
        return Raw(
            x=x,
            label=np.full(len(x), "normal") if label is None else label,
            anomaly=self._anomalous(label, len(x), path),
            id=ids,
            source={
                "name": path.stem,
                "licence": "not stated (the user's own images)",
                "complete": True,
                "files": files,
            },
            full_scale=255.0,
        )

    def _anomalous(self, label: np.ndarray | None, n: int, path: Path) -> np.ndarray:
        if self.normal is None:
            return np.zeros(n, dtype=bool)
        if label is None:
            raise UserError(
                f"`normal` is {self.normal!r} but {path} holds no classes `y`; add them, or leave "
                "`normal` out where every image is normal."
            )
        return anomalous(label, self.normal, path)
