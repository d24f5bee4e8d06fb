"""Idx files of MNIST, Fashion-MNIST and EMNIST, downloaded and parsed by torchvision.

The layout is torchvision's: <class of torchvision.datasets>/raw/<file>, plain or gzipped.
"""

import gzip
import io
import shutil
import socket
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path

import numpy as np

from hourglass.core.errors import UserError, one_line

HOST_TIMEOUT_SECONDS = 20.0  # torchvision sets no timeout
# A small gzipped file can expand to terabytes; the largest published file is EMNIST's.
MAX_UNCOMPRESSED_BYTES = 16 + 124_800 * 28 * 28
GZIP_MAGIC = b"\x1f\x8b"  # a plain idx file starts with two zero bytes
ARCHIVE = "gzip.zip"  # all splits of EMNIST, 535 MB


def find_or_download(dataset: str, names: list[str], folder: Path) -> list[Path]:
    """Return the paths of the files of a torchvision data set; download those that are missing.

    Files are written atomically, and no existing file is overwritten. Raises a UserError if
    a download fails or differs from the published MD5 checksum.
    """
    raw = folder / dataset / "raw"
    missing = [name for name in names if not _find(raw / name).is_file()]
    if missing:
        try:
            _download(dataset, raw, missing)
        except UserError:
            raise
        # urllib, zipfile and torchvision raise exceptions of many types.
        except Exception as error:
            raise UserError(
                f"{raw / missing[0]} is missing and cannot be downloaded ({one_line(error)}); "
                "connect to the network, put the file there, or set HOURGLASS_DATA to a folder "
                "that has it."
            ) from error
    return [_find(raw / name) for name in names]


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


def _find(path: Path) -> Path:
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


def _download(dataset: str, raw: Path, names: list[str]) -> None:
    from torchvision import datasets

    raw.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=raw) as temporary, _network():
        folder = Path(temporary, dataset, "raw")
        if dataset == "EMNIST":
            _extract(raw, folder, names)
        else:
            getattr(datasets, dataset)(temporary, train=False, download=True)
        for name in names:
            (folder / name).replace(raw / name)


def _extract(raw: Path, folder: Path, names: list[str]) -> None:
    """Extract files from EMNIST's archive in `raw`, or download it to `folder`.

    torchvision's EMNIST class would extract all 24 files (1.8 GB), but four are needed.
    """
    from torchvision.datasets import EMNIST
    from torchvision.datasets.utils import check_integrity, download_url

    folder.mkdir(parents=True)
    archive = raw / ARCHIVE
    if not archive.is_file():
        archive = folder / ARCHIVE
        download_url(EMNIST.url, folder, ARCHIVE, EMNIST.md5)
    elif not check_integrity(archive, EMNIST.md5):
        raise damaged(archive, "does not have the published MD5 checksum")
    with zipfile.ZipFile(archive) as files:
        for name in names:
            with (
                files.open(f"gzip/{name}.gz") as packed,
                gzip.open(packed) as content,
                (folder / name).open("wb") as plain,
            ):
                shutil.copyfileobj(content, plain)


@contextmanager
def _network() -> Iterator[None]:
    """Set a network timeout, and show download progress only on a terminal."""
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(HOST_TIMEOUT_SECONDS)
    try:
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(previous)
