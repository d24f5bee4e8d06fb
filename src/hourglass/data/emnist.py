"""EMNIST: MNIST's digits are normal, EMNIST's handwritten letters are not."""

import shutil
import string
import zipfile
from collections.abc import Sequence
from pathlib import Path

from hourglass.core.atomic import atomic_file
from hourglass.core.errors import UserError, one_line
from hourglass.data.base import DataSet, Raw
from hourglass.data.download import fetch
from hourglass.data.idx import find_idx
from hourglass.data.idx_images import DIGITS, Publisher, contrast, file_names, load_images

LETTERS = Publisher(
    id="emnist_letters",
    title="EMNIST letters",
    licence="EMNIST: Cohen et al. 2017, from NIST Special Database 19 (public domain)",
    folder="EMNIST/raw",
    stems=("emnist-letters-train", "emnist-letters-test"),
    counts=(124_800, 20_800),
    classes=tuple(string.ascii_uppercase),
    first_label=1,
    transposed=True,
)
ARCHIVE = "EMNIST/raw/gzip.zip"  # 535 MB, all six splits
ARCHIVE_MD5 = "58c8d27c78d21e728a6bc7b3cc06412e"
MIRRORS = (
    "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
)


class EMNIST(DataSet):
    """Call MNIST's ten digits normal and show letters, capital and small, as anomalies.

    (N, 1, 28, 28) uint8; 70,000 digits and 145,600 letters, labelled "A" to "Z" in either case.
    Some letters (I, L, O) look like digits. The publishers' test parts are for testing.
    """

    def load(self, folder: Path) -> Raw:
        """Return MNIST and EMNIST's letters, downloaded below `folder` where they are missing."""
        get_letters(folder)
        return contrast("emnist", load_images(DIGITS, folder), load_images(LETTERS, folder))


def get_letters(
    folder: Path, mirrors: Sequence[str] = MIRRORS, md5: str | None = ARCHIVE_MD5
) -> None:
    """Extract those of the letters' four files that are missing from the official archive.

    The archive is downloaded where it is not below `folder`, and then removed again. A UserError
    where it cannot be had or lacks a file.
    """
    wanted = [folder / LETTERS.folder / name for stem in LETTERS.stems for name in file_names(stem)]
    missing = [path for path in wanted if find_idx(path) is None]
    if not missing:
        return
    archive = folder / ARCHIVE
    if archive.is_file():
        _extract(archive, missing)
        return
    fetch(ARCHIVE, folder, mirrors, md5)
    try:
        _extract(archive, missing)
    finally:
        archive.unlink()


def _extract(archive: Path, wanted: list[Path]) -> None:
    try:
        with zipfile.ZipFile(archive) as files:
            for path in wanted:
                target = path.with_name(f"{path.name}.gz")
                with (
                    files.open(f"gzip/{target.name}") as inside,
                    atomic_file(target) as temporary,
                    temporary.open("wb") as file,
                ):
                    shutil.copyfileobj(inside, file)
    # A damaged archive makes zipfile raise errors of a dozen kinds.
    except Exception as error:
        raise UserError(
            f"{archive} is not EMNIST's official archive ({one_line(error)}); delete it, and it "
            "is downloaded again, or compare it with the publisher's checksum."
        ) from error
