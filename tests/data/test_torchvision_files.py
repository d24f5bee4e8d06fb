"""Idx files: parsed by torchvision, downloaded if missing, and clear errors for damaged ones."""

import contextlib
import gzip
import hashlib
import io
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from hourglass.core.errors import UserError
from hourglass.data import torchvision_files
from hourglass.data.image_sets import ARTICLES, DIGITS, LETTERS, load_images
from hourglass.data.torchvision_files import read_idx

IMAGES = np.arange(2 * 3 * 4).reshape(2, 3, 4)
GZIPPED = pytest.mark.parametrize("gzipped", [False, True])


@pytest.fixture
def idx_file(tmp_path, write_idx) -> Path:
    return write_idx(tmp_path / "images", IMAGES)


def compress(path: Path) -> Path:
    """Replace a file by its gzipped form."""
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return target


@GZIPPED
def test_a_file_plain_or_gzipped_gives_the_array_that_was_written(idx_file, gzipped):
    array = read_idx(compress(idx_file) if gzipped else idx_file)
    np.testing.assert_array_equal(array, IMAGES)
    assert array.dtype == np.uint8
    assert array.flags.writeable


IDX = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in IMAGES.shape) + bytes(24)
INVALID = {
    "a PNG file": b"\x89PNG" + IDX[4:],
    "floats": b"\x00\x00\x0d\x03" + IDX[4:],
    "an unknown type": b"\x00\x00\x0a\x03" + IDX[4:],
    "too long": IDX + b"x",
    "no items": IDX[:4] + bytes(12),
    "terabytes announced": IDX[:4] + b"\xff" * 12 + b"abc",
    **{f"cut short after {length} bytes": IDX[:length] for length in (0, 3, 4, 15, 16, 39)},
    "a gzip file that is cut short": gzip.compress(IDX)[:-9],
    "int8": b"\x00\x00\x09\x03" + IDX[4:],
}


@GZIPPED
@pytest.mark.parametrize("kind", INVALID)
def test_an_invalid_file_is_rejected_by_name_with_the_way_out(idx_file, refusal, kind, gzipped):
    idx_file.write_bytes(INVALID[kind])
    path = compress(idx_file) if gzipped else idx_file
    problem = "holds int8 instead of uint8" if kind == "int8" else "is incomplete or damaged"
    sentence = refusal(read_idx, path)
    assert f"{path} {problem}" in sentence
    assert "delete it so that it is downloaded again" in sentence


def test_a_gzipped_file_is_expanded_up_to_a_limit(tmp_path, monkeypatch, refusal):
    monkeypatch.setattr(torchvision_files, "MAX_UNCOMPRESSED_BYTES", 1000)
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x05" + bytes(16 << 20), 1))
    tracemalloc.start()
    try:
        assert "expands to more than 1,000 bytes" in refusal(read_idx, path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_torchvision_is_imported_for_its_sets_only():
    code = "import sys, hourglass.data.mnist, hourglass.data.prepare; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "hourglass.data.image_sets" in modules.split()
    assert not {"torch", "torchvision"} & set(modules.split())


LABELS = {DIGITS: ["3", "1", "9", "7", "0"], LETTERS: ["A", "D", "B"]}
LABELS[ARTICLES] = ["Dress", "Trouser", "Ankle boot", "Sneaker", "T-shirt/top"]
SETS = pytest.mark.parametrize("image_set", LABELS, ids=lambda image_set: image_set.id)


@pytest.fixture
def mirror(tmp_path, host, write_set, monkeypatch) -> tuple[Path, dict[str, bytes]]:
    """Serve gzipped sets under the URLs and checksums of torchvision; return folder and pages."""
    url, pages = host
    published = tmp_path / "published"
    for image_set in (DIGITS, ARTICLES):
        write_set(published, image_set, train=[3, 1, 9], test=[7, 0])
        files = {
            f"{name}.gz": gzip.compress((published / image_set.folder / name).read_bytes())
            for name in image_set.files
        }
        pages |= {f"/{image_set.id}/{name}": content for name, content in files.items()}
        checksums = [(name, hashlib.md5(content).hexdigest()) for name, content in files.items()]
        data_set = getattr(datasets, image_set.torchvision_name)
        monkeypatch.setattr(data_set, "mirrors", [f"{url}/empty/", f"{url}/{image_set.id}/"])
        monkeypatch.setattr(data_set, "resources", checksums)
    write_set(published, LETTERS, train=[1, 4], test=[2])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for name in LETTERS.files:
            content = (published / LETTERS.folder / name).read_bytes()
            members.writestr(f"gzip/{name}.gz", gzip.compress(content))
        members.writestr("gzip/emnist-digits-train-images-idx3-ubyte.gz", b"another split")
    pages["/gzip.zip"] = archive.getvalue()
    monkeypatch.setattr(datasets.EMNIST, "url", f"{url}/gzip.zip")
    monkeypatch.setattr(datasets.EMNIST, "md5", hashlib.md5(archive.getvalue()).hexdigest())
    return tmp_path / "raw", pages


@SETS
def test_a_missing_set_is_downloaded_without_further_files(mirror, image_set):
    folder, _ = mirror
    assert load_images(image_set, folder).label.tolist() == LABELS[image_set]
    files = {path.name for path in (folder / image_set.folder).iterdir()}
    assert files == set(image_set.files)


@SETS
def test_existing_files_are_not_overwritten_by_a_download(mirror, write_set, image_set):
    folder, _ = mirror
    write_set(folder, image_set, train=[5, 5], test=[6])
    (folder / image_set.folder / image_set.files[3]).unlink()
    kept = folder / image_set.folder / image_set.files[0]
    content = kept.read_bytes()
    with contextlib.suppress(UserError):  # the numbers of images and labels differ
        load_images(image_set, folder)
    assert kept.read_bytes() == content
    assert (folder / image_set.folder / image_set.files[3]).is_file()


@SETS
@pytest.mark.parametrize("change", [lambda body: body[:-1] + b"x", lambda body: body[:-9]])
def test_a_download_that_differs_from_its_md5_is_rejected_and_leaves_no_file(
    mirror, refusal, image_set, change
):
    folder, pages = mirror
    pages |= {path: change(body) for path, body in pages.items()}
    sentence = refusal(load_images, image_set, folder)
    path = folder / image_set.folder / image_set.files[0]
    assert f"{path} is missing and cannot be downloaded" in sentence
    assert "other contents than the official one" in sentence
    assert list(path.parent.iterdir()) == []


def test_an_archive_of_emnist_in_the_folder_is_checked_read_and_kept(mirror, refusal):
    folder, pages = mirror
    archive = folder / LETTERS.folder / "gzip.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"<html>")
    sentence = refusal(load_images, LETTERS, folder)
    assert f"{archive} does not have the published MD5 checksum" in sentence
    assert archive.is_file()
    archive.write_bytes(pages.pop("/gzip.zip"))
    assert load_images(LETTERS, folder).label.tolist() == LABELS[LETTERS]
    assert archive.is_file()
