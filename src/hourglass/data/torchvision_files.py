"""Idx files of MNIST, Fashion-MNIST and EMNIST: torchvision knows their sources and parses them.

The layout is torchvision's: <class of torchvision.datasets>/raw/<file>, plain or gzipped.
"""

import gzip
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from hourglass.core.errors import UserError, one_line
from hourglass.data.download import cannot_download, download

# A small gzipped file can expand to terabytes; the largest published file is EMNIST's.
MAX_UNCOMPRESSED_BYTES = 16 + 124_800 * 28 * 28
GZIP_MAGIC = b"\x1f\x8b"  # a plain idx file starts with two zero bytes
ARCHIVE = "gzip.zip"  # all splits of EMNIST, 535 MB


def find_or_download(dataset: str, names: list[str], raw: Path) -> list[Path]:
    """Return the paths of files of a torchvision data set; download those missing in `raw`.

    Files are written atomically, and no existing file is overwritten. Raises a UserError if
    a download fails or differs from the published MD5 checksum.
    """
    missing = [name for name in names if not _plain_or_gzipped(raw / name).is_file()]
    if missing and dataset == "EMNIST":
        _download_emnist(missing, raw)
    elif missing:
        _download(dataset, missing, raw)
    return [_plain_or_gzipped(raw / name) for name in names]


def read_idx(path: Path) -> np.ndarray:
    """Read a uint8 array from an idx file, plain or gzipped.

    Raises a UserError if the file is incomplete, damaged or of another type.
    """
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    try:
        with _uncompressed(path) as plain:
            values: np.ndarray = read_sn3_pascalvincent_tensor(str(plain), strict=False).numpy()
    # gzip and torchvision raise exceptions of many types for a damaged file.
    except Exception as error:
        raise damaged(path, f"is incomplete or damaged ({one_line(error)})") from error
    if values.dtype != np.uint8:
        raise damaged(path, f"holds {values.dtype} instead of uint8")
    return values


def damaged(path: Path, problem: str) -> UserError:
    """Return a UserError for an unusable file, with a remedy."""
    return UserError(
        f"{path} {problem}; delete it so that it is downloaded again, or replace it by the "
        "published file."
    )


def _plain_or_gzipped(path: Path) -> Path:
    """Return the path of the gzipped file if only that exists, else of the plain file."""
    gzipped = path.with_name(f"{path.name}.gz")
    return gzipped if gzipped.is_file() and not path.is_file() else path


@contextmanager
def _uncompressed(path: Path) -> Iterator[Path]:
    """Yield the path of an uncompressed idx file; torchvision does not read gzipped files."""
    with path.open("rb") as file:
        if file.read(2) != GZIP_MAGIC:
            yield path
            return
    with gzip.open(path) as file:
        content = file.read(MAX_UNCOMPRESSED_BYTES + 1)
    if len(content) > MAX_UNCOMPRESSED_BYTES:
        raise ValueError(f"it expands to more than {MAX_UNCOMPRESSED_BYTES:,} bytes")
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary, "plain")
        plain.write_bytes(content)
        yield plain


def _download(dataset: str, names: list[str], raw: Path) -> None:
    from torchvision import datasets
    from torchvision.datasets.utils import check_integrity

    published = getattr(datasets, dataset)
    checksums = dict(published.resources)
    for name in names:
        file = f"{name}.gz"
        mirrors = [f"{mirror}{file}" for mirror in published.mirrors]
        is_valid = partial(check_integrity, md5=checksums[file])
        with download(raw / name, mirrors, is_valid) as path, path.open("rb") as packed:
            _unpack(packed, raw / name)


def _download_emnist(names: list[str], raw: Path) -> None:
    """Unpack files from EMNIST's archive, which is in `raw` or downloaded temporarily."""
    from torchvision.datasets import EMNIST
    from torchvision.datasets.utils import check_integrity

    is_valid = partial(check_integrity, md5=EMNIST.md5)
    source: AbstractContextManager[Path] = download(raw / names[0], [EMNIST.url], is_valid)
    if (local := raw / ARCHIVE).is_file():
        if not is_valid(local):
            raise damaged(local, "does not have the published MD5 checksum")
        source = nullcontext(local)
    try:
        with source as archive, zipfile.ZipFile(archive) as files:
            for name in names:
                with files.open(f"gzip/{name}.gz") as packed:
                    _unpack(packed, raw / name)
    except KeyError as error:
        raise cannot_download(raw / names[0], one_line(error)) from None


def _unpack(packed: IO[bytes], target: Path) -> None:
    """Write the content of a gzipped file to `target` atomically."""
    # One folder per process: several may unpack the same file at once.
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as folder:
        plain = Path(folder, target.name)
        with gzip.open(packed) as content, plain.open("wb") as file:
            shutil.copyfileobj(content, file)
        plain.replace(target)
