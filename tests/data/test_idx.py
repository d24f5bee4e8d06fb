import contextlib
import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.errors import UserError
from hourglass.data.idx import read_idx, read_pair

IMAGES = np.arange(2 * 3 * 4).reshape(2, 3, 4)


@pytest.fixture
def good(tmp_path, write_idx) -> Path:
    return write_idx(tmp_path / "images", IMAGES)


def zipped(path: Path) -> Path:
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return target


def test_reads_what_was_written(good):
    np.testing.assert_array_equal(read_idx(good), IMAGES)


def test_gives_uint8(good):
    assert read_idx(good).dtype == np.uint8


def test_gives_an_array_that_can_be_written_to(good):
    assert read_idx(good).flags.writeable


def test_reads_the_gzipped_file_beside_a_missing_one(good):
    zipped(good)
    np.testing.assert_array_equal(read_idx(good), IMAGES)


def test_reads_a_gzipped_file_by_its_own_name(good):
    np.testing.assert_array_equal(read_idx(zipped(good)), IMAGES)


def test_refuses_a_missing_file_by_name(tmp_path, refusal):
    assert str(tmp_path / "images") in refusal(read_idx, tmp_path / "images")


def test_refuses_another_magic_number_and_shows_it(good, refusal):
    good.write_bytes(b"\x89PNG" + good.read_bytes()[4:])
    assert "89504e47" in refusal(read_idx, good)


def test_refuses_elements_that_are_no_uint8(good, refusal):
    good.write_bytes(b"\x00\x00\x0d\x03" + good.read_bytes()[4:])
    assert "00000d03" in refusal(read_idx, good)


@pytest.mark.parametrize("length", [0, 3, 4, 15, 16, 39])
def test_refuses_a_truncated_file(good, refusal, length):
    good.write_bytes(good.read_bytes()[:length])
    assert "delete it, and it is downloaded again" in refusal(read_idx, good)


def test_refuses_an_overlong_file_with_the_count_it_should_have(good, refusal):
    good.write_bytes(good.read_bytes() + b"x")
    assert "holds more than the 24 values that its header says" in refusal(read_idx, good)


def test_refuses_a_truncated_gzip_file(good, refusal):
    path = zipped(good)
    path.write_bytes(path.read_bytes()[:-9])
    assert "images.gz" in refusal(read_idx, good)


def test_refuses_a_file_without_items(tmp_path, write_idx, refusal):
    refusal(read_idx, write_idx(tmp_path / "images", np.zeros((0, 28, 28))))


def test_refuses_counts_of_images_and_labels_that_differ(tmp_path, good, write_idx, refusal):
    labels = write_idx(tmp_path / "labels", np.arange(3))
    assert "2 images but labels 3 labels" in refusal(read_pair, good, labels)


def test_refuses_labels_where_images_belong(tmp_path, write_idx, refusal):
    labels = write_idx(tmp_path / "labels", np.arange(3))
    assert "1 axes where 3 belong" in refusal(read_pair, labels, labels)


@pytest.mark.parametrize("gzipped", [False, True])
def test_nothing_but_a_refusal_comes_out_of_damaged_files(good, damage, gzipped):
    path = zipped(good) if gzipped else good
    for damaged in damage(path.read_bytes()):
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            assert read_idx(path).dtype == np.uint8


@pytest.mark.parametrize("announced", [5, 2**32 - 1])
def test_of_a_gzipped_file_no_more_is_read_than_there_must_be(tmp_path, announced, refusal):
    body = b"\0\0\x08\x01" + announced.to_bytes(4, "big") + bytes(16 << 20)
    (tmp_path / "images").write_bytes(gzip.compress(body, 1))
    tracemalloc.start()
    try:
        if announced == 5:
            refusal(read_idx, tmp_path / "images")
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        else:
            assert "16,777,216 values where" in refusal(read_idx, tmp_path / "images")
    finally:
        tracemalloc.stop()


def test_three_axes_of_four_billion_ask_for_no_memory(tmp_path, refusal):
    (tmp_path / "images").write_bytes(b"\0\0\x08\x03" + b"\xff" * 12 + b"abc")
    assert "holds 3 values where" in refusal(read_idx, tmp_path / "images")
