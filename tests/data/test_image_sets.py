import dataclasses
import gzip
import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hourglass.data.emnist import EMNIST, LETTERS, get_letters
from hourglass.data.fashion_mnist import FashionMNIST
from hourglass.data.idx_images import ARTICLES, DIGITS, load_images
from hourglass.data.mnist import MNIST

REAL = os.environ.get("HOURGLASS_DATA")


@pytest.fixture
def folder(tmp_path, write_set) -> Path:
    write_set(tmp_path / DIGITS.folder, DIGITS.stems, train=[3, 1, 9], test=[7, 0])
    write_set(tmp_path / ARTICLES.folder, ARTICLES.stems, train=[9], test=[0, 8])
    write_set(tmp_path / LETTERS.folder, LETTERS.stems, train=[1, 4], test=[2])
    return tmp_path


def test_mnist_takes_articles_as_anomalies(folder):
    raw = MNIST().load(folder)
    assert raw.label[raw.anomaly].tolist() == ["Ankle boot", "T-shirt/top", "Bag"]


def test_mnist_takes_digits_as_normal(folder):
    raw = MNIST().load(folder)
    assert raw.label[~raw.anomaly].tolist() == ["3", "1", "9", "7", "0"]


def test_fashion_mnist_takes_digits_as_anomalies(folder):
    raw = FashionMNIST().load(folder)
    assert raw.label[raw.anomaly].tolist() == ["3", "1", "9", "7", "0"]


def test_emnist_takes_letters_as_anomalies(folder):
    raw = EMNIST().load(folder)
    assert raw.label[raw.anomaly].tolist() == ["A", "D", "B"]


def test_every_image_keeps_its_label(folder):
    raw = load_images(DIGITS, folder)
    assert raw.x[:, 0, 5, 5].astype(str).tolist() == raw.label.tolist()


def test_images_have_one_channel(folder):
    assert MNIST().load(folder).x.shape == (8, 1, 28, 28)


def test_emnist_letters_are_turned_upright(folder, write_idx):
    stored = np.zeros((2, 28, 28))
    stored[:, 20, 5] = 1  # column 20, row 5 in the official files
    write_idx(folder / LETTERS.folder / "emnist-letters-train-images-idx3-ubyte", stored)
    assert load_images(LETTERS, folder).x[0, 0, 5, 20] == 1


def test_the_publishers_test_parts_are_marked(folder):
    raw = MNIST().load(folder)
    assert raw.official_test is not None
    assert raw.official_test.tolist() == [False] * 3 + [True] * 2 + [False] + [True] * 2


def test_ids_say_set_part_and_position(folder):
    ids = MNIST().load(folder).id
    assert [ids[0], ids[4], ids[5]] == ["mnist/train/0", "mnist/test/1", "fashion_mnist/train/0"]


def test_an_incomplete_set_says_so(folder):
    source = EMNIST().load(folder).source
    assert source["complete"] is False
    assert "EMNIST letters A-D subset (2 train and 1 test images of" in source["subset"]


def test_a_set_with_the_official_counts_is_complete(folder):
    assert "subset" not in load_images(dataclasses.replace(DIGITS, counts=(3, 2)), folder).source


def test_every_file_that_was_read_is_fingerprinted(folder):
    files = MNIST().load(folder).source["files"]
    read = sorted([*(folder / "MNIST/raw").iterdir(), *(folder / "FashionMNIST/raw").iterdir()])
    assert files == {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in read
    }


def test_a_label_out_of_range_is_refused(folder, write_idx, refusal):
    path = folder / "MNIST/raw/train-labels-idx1-ubyte"
    write_idx(path, np.array([1, 10, 2]))
    assert "label 10 where 0 to 9 belong" in refusal(MNIST().load, folder)


def test_the_letter_number_0_is_refused(folder, write_idx, refusal):
    write_idx(folder / LETTERS.folder / "emnist-letters-test-labels-idx1-ubyte", np.array([0]))
    assert "label 0 where 1 to 26 belong" in refusal(EMNIST().load, folder)


def test_images_of_another_size_are_refused(folder, write_idx, refusal):
    write_idx(folder / "MNIST/raw/train-images-idx3-ubyte", np.zeros((3, 32, 32)))
    assert "32 x 32" in refusal(MNIST().load, folder)


def test_a_missing_file_is_downloaded(folder, host):
    url, pages = host
    name = "t10k-labels-idx1-ubyte"
    path = folder / DIGITS.folder / name
    body = gzip.compress(path.read_bytes())
    pages[f"/{name}.gz"] = (body, 0)
    path.unlink()
    md5 = {f"{name}.gz": hashlib.md5(body).hexdigest()}
    publisher = dataclasses.replace(DIGITS, mirrors=(f"{url}/",), md5=md5)
    assert load_images(publisher, folder).label.tolist() == ["3", "1", "9", "7", "0"]


def test_a_missing_file_that_no_mirror_has_is_refused_by_name(folder, host, refusal):
    (folder / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    publisher = dataclasses.replace(DIGITS, mirrors=(f"{host[0]}/",))
    sentence = refusal(load_images, publisher, folder)
    assert "MNIST/raw/t10k-labels-idx1-ubyte.gz is neither in" in sentence


def archive(folder: Path) -> bytes:
    """Return EMNIST's archive of the letters in `folder`, which are deleted, and other files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        for path in sorted((folder / LETTERS.folder).iterdir()):
            files.writestr(f"gzip/{path.name}.gz", gzip.compress(path.read_bytes()))
            path.unlink()
        files.writestr("gzip/emnist-digits-train-images-idx3-ubyte.gz", b"not wanted")
    return packed.getvalue()


def test_emnist_extracts_the_letters_and_nothing_else(folder, host):
    url, pages = host
    pages["/gzip.zip"] = (archive(folder), 0)
    get_letters(folder, [f"{url}/gzip.zip"], md5=None)
    names = {path.name for path in (folder / LETTERS.folder).iterdir()}
    assert names == {
        f"emnist-letters-{part}-{kind}-ubyte.gz"
        for part in ("train", "test")
        for kind in ("images-idx3", "labels-idx1")
    }


def test_emnist_reads_what_it_extracted(folder, host):
    url, pages = host
    pages["/gzip.zip"] = (archive(folder), 0)
    get_letters(folder, [f"{url}/gzip.zip"], md5=None)
    assert load_images(LETTERS, folder).label.tolist() == ["A", "D", "B"]


def test_emnist_takes_an_archive_that_is_there_and_leaves_it(folder):
    path = folder / "EMNIST/raw/gzip.zip"
    content = archive(folder)
    path.write_bytes(content)
    get_letters(folder, mirrors=[])
    assert path.is_file()
    assert load_images(LETTERS, folder).label.tolist() == ["A", "D", "B"]


def test_an_archive_without_the_letters_is_refused(folder, refusal):
    archive(folder)
    with zipfile.ZipFile(folder / "EMNIST/raw/gzip.zip", "w") as files:
        files.writestr("gzip/other", b"")
    assert "not EMNIST's official archive" in refusal(get_letters, folder, mirrors=[])


def test_a_file_that_is_no_archive_is_refused(folder, refusal):
    archive(folder)
    (folder / "EMNIST/raw/gzip.zip").write_bytes(b"<html>")
    assert "not EMNIST's official archive" in refusal(get_letters, folder, mirrors=[])


def test_letters_that_no_mirror_has_are_refused_with_the_archives_name(folder, refusal):
    archive(folder)
    assert "EMNIST/raw/gzip.zip is neither in" in refusal(get_letters, folder, mirrors=[])


real = [
    pytest.mark.real_data,
    pytest.mark.skipif(REAL is None, reason="HOURGLASS_DATA is not set: no real data to test with"),
]


@pytest.fixture
def real_folder() -> Path:
    assert REAL is not None
    return Path(REAL)


@pytest.mark.parametrize("publisher", [pytest.param(p, marks=real) for p in (DIGITS, ARTICLES)])
def test_the_real_set_is_complete_and_balanced_as_published(publisher, real_folder):
    raw = load_images(publisher, real_folder)
    assert "subset" not in raw.source
    assert (len(raw.x), len(set(raw.label))) == (70_000, 10)


@pytest.mark.parametrize("letter", [pytest.param("J", marks=real)])
def test_the_real_letters_stand_upright(letter, real_folder):
    """A J's hook is at the lower left: the mean image is darker at the lower right."""
    raw = load_images(LETTERS, real_folder)
    mean = raw.x[raw.label == letter, 0].mean(axis=0)
    assert mean[18:24, 4:12].mean() > 2 * mean[18:24, 18:26].mean()
