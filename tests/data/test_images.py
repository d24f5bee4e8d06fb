import contextlib
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hourglass.core.errors import UserError
from hourglass.data.images import Images

NOWHERE = Path("no such folder")
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (4, 6, 5), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)


@pytest.fixture
def npz(tmp_path):
    def write_and_load(settings=None, **arrays):
        np.savez(tmp_path / "mine.npz", **arrays)
        return Images(str(tmp_path / "mine.npz"), **(settings or {})).load(NOWHERE)

    return write_and_load


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two grey images of class "bad" and two of class "good", 5 wide and 6 high."""
    for i, (kind, name) in enumerate([("bad", "b"), ("bad", "a"), ("good", "d"), ("good", "c")]):
        path = tmp_path / "pictures" / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(GREY[i]).save(path)
    return tmp_path / "pictures"


def load(path: Path, **settings):
    return Images(str(path), **settings).load(NOWHERE)


def test_images_without_channels_get_one(npz):
    np.testing.assert_array_equal(npz(x=GREY).x, GREY[:, None])


def test_channels_may_come_last(npz):
    np.testing.assert_array_equal(npz(x=COLOUR).x, COLOUR.transpose(0, 3, 1, 2))


def test_channels_may_come_first(npz):
    first = COLOUR.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(npz(x=first).x, first)


def test_images_without_classes_are_normal(npz):
    assert not npz(x=GREY).anomaly.any()


def test_classes_that_are_not_normal_are_anomalous(npz):
    raw = npz({"normal": "1"}, x=GREY, y=np.array([0, 1, 1, 2]))
    assert raw.anomaly.tolist() == [True, False, False, True]


def test_grey_takes_the_luma_of_the_colours(npz):
    expected = COLOUR @ np.array([0.299, 0.587, 0.114])
    assert np.abs(npz({"grey": True}, x=COLOUR).x[:, 0] - expected).max() <= 1


@pytest.mark.parametrize("x", [GREY, COLOUR])
def test_size_resizes_arrays(npz, x):
    assert npz({"size": 3}, x=x).x.shape[2:] == (3, 3)


def test_the_npz_file_is_fingerprinted(npz, tmp_path):
    digest = hashlib.sha256
    files = npz(x=GREY).source["files"]
    assert files == {"mine.npz": digest((tmp_path / "mine.npz").read_bytes()).hexdigest()}


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (GREY / 255, "float64"),
        (GREY[0], "(6, 5)"),
        (np.zeros((4, 6, 5, 4), np.uint8), "(4, 6, 5, 4)"),
        (np.zeros((0, 6, 5), np.uint8), "(0, 6, 5)"),
    ],
)
def test_an_array_of_another_kind_is_refused(npz, refusal, x, shown):
    assert shown in refusal(npz, x=x)


def test_a_missing_array_is_refused_with_those_there_are(npz, refusal):
    assert "['pictures', 'y']" in refusal(npz, pictures=GREY, y=np.zeros(4))


@pytest.mark.parametrize("y", [np.zeros(3), np.zeros((4, 1)), np.array(0)])
def test_another_number_of_classes_is_refused(npz, refusal, y):
    assert str(y.shape) in refusal(npz, x=GREY, y=y)


def test_python_objects_are_refused(npz, refusal):
    assert "without Python objects" in refusal(npz, x=GREY, y=np.array([{}, 1, 2, 3]))


def test_an_unknown_class_is_refused(npz, refusal):
    y = np.array(["cat", "dog", "dog", "cat"])
    assert "did you mean 'cat'" in refusal(npz, {"normal": "cats"}, x=GREY, y=y)


def test_classes_without_an_anomaly_are_refused(npz, refusal):
    assert "Every sample" in refusal(npz, {"normal": "1"}, x=GREY, y=np.ones(4, int))


def test_normal_classes_without_classes_are_refused(npz, refusal):
    assert "no classes `y`" in refusal(npz, {"normal": "1"}, x=GREY)


def test_a_size_below_1_is_refused(npz, refusal):
    assert "`size` is 0" in refusal(npz, {"size": 0}, x=GREY)


def test_a_missing_path_is_refused(tmp_path, refusal):
    assert str(tmp_path / "none") in refusal(load, tmp_path / "none")


def test_another_kind_of_file_is_refused(tmp_path, refusal):
    (tmp_path / "x.npy").write_bytes(b"")
    assert "neither an .npz file nor a folder" in refusal(load, tmp_path / "x.npy")


def test_a_folder_is_read_in_sorted_order(folder):
    assert load(folder).id.tolist() == ["bad/a.png", "bad/b.png", "good/c.png", "good/d.png"]


def test_a_folder_keeps_the_pixels(folder):
    np.testing.assert_array_equal(load(folder).x[:, 0], GREY[[1, 0, 3, 2]])


def test_subfolders_are_the_classes(folder):
    raw = load(folder, normal="good")
    assert raw.label.tolist() == ["bad", "bad", "good", "good"]
    assert raw.anomaly.tolist() == [True, True, False, False]


def test_one_image_in_colour_makes_all_three_channels(folder):
    Image.fromarray(COLOUR[0]).save(folder / "good" / "e.bmp")
    assert load(folder).x.shape == (5, 3, 6, 5)


def test_grey_makes_one_channel_of_a_folder(folder):
    Image.fromarray(COLOUR[0]).save(folder / "good" / "e.bmp")
    assert load(folder, grey=True).x.shape == (5, 1, 6, 5)


def test_every_image_is_fingerprinted(folder):
    files = load(folder).source["files"]
    content = (folder / "good" / "d.png").read_bytes()
    assert len(files) == 4
    assert files["good/d.png"] == hashlib.sha256(content).hexdigest()


def test_mixed_sizes_are_refused_with_both(folder, refusal):
    Image.fromarray(GREY[0].T.copy()).save(folder / "good" / "e.png")
    sentence = refusal(load, folder)
    assert "6 x 5" in sentence
    assert "5 x 6" in sentence


def test_size_makes_mixed_sizes_alike(folder):
    Image.fromarray(GREY[0].T.copy()).save(folder / "good" / "e.png")
    assert load(folder, size=4).x.shape == (5, 1, 4, 4)


def test_an_unreadable_image_is_refused_by_name(folder, refusal):
    (folder / "good" / "e.png").write_bytes(b"not a picture")
    assert str(folder / "good" / "e.png") in refusal(load, folder)


def test_a_truncated_image_is_refused_by_name(folder, refusal):
    path = folder / "good" / "d.png"
    path.write_bytes(path.read_bytes()[:60])
    assert str(path) in refusal(load, folder)


def test_16_bits_a_pixel_are_refused(folder, refusal):
    Image.fromarray(GREY[0].astype(np.uint16)).save(folder / "good" / "e.png")
    assert "convert it to 8 bits" in refusal(load, folder)


def test_a_class_without_images_is_refused(folder, refusal):
    (folder / "ugly").mkdir()
    assert "ugly holds no image" in refusal(load, folder)


def test_a_folder_without_classes_is_refused(tmp_path, refusal):
    assert "no class of images" in refusal(load, tmp_path)


def test_an_image_outside_of_any_class_is_refused(folder, refusal):
    Image.fromarray(GREY[0]).save(folder / "loose.png")
    assert "loose.png" in refusal(load, folder)


def test_hidden_folders_are_passed_over(folder):
    (folder / ".ipynb_checkpoints").mkdir()
    assert len(load(folder).x) == 4


@pytest.mark.parametrize("name", ["mine.npz", "pictures/good/d.png"])
def test_nothing_but_a_refusal_comes_out_of_damaged_files(tmp_path, folder, damage, name):
    path = tmp_path / name
    if name == "mine.npz":
        np.savez_compressed(path, x=GREY, y=np.arange(4))
    for damaged in damage(path.read_bytes()):
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            assert load(path if name == "mine.npz" else folder).x.dtype == np.uint8
