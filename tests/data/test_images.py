"""The user's own images: layouts of arrays, folders of classes, conversions, invalid contents."""

import hashlib
import os
import shutil
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hourglass.data.images import Images
from hourglass.data.readers.chunks import read_chunks
from hourglass.data.readers.image_format import ImageFormat

NOWHERE = Path("no such folder")
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (4, 6, 5), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
CHANNELS_FIRST = COLOUR.transpose(0, 3, 1, 2)


@pytest.fixture
def npz(tmp_path):
    def write_and_load(settings=None, **arrays):
        np.savez(tmp_path / "mine.npz", **arrays)
        return Images(str(tmp_path / "mine.npz"), **(settings or {})).load(NOWHERE)

    return write_and_load


@pytest.fixture
def folder(tmp_path) -> Path:
    """Write two grey images of class "bad" and two of class "good", 5 wide and 6 high."""
    for i, (kind, name) in enumerate([("bad", "b"), ("bad", "a"), ("good", "d"), ("good", "c")]):
        path = tmp_path / "pictures" / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(GREY[i]).save(path)
    return tmp_path / "pictures"


def test_masks_of_an_array_file_without_classes_decide_which_images_are_normal(npz):
    mask = np.zeros(GREY.shape, bool)
    mask[1, 2, 3] = True
    raw = npz(x=GREY, mask=mask)
    assert raw.label.tolist() == ["good", "defect", "good", "good"]
    assert raw.anomaly.tolist() == [False, True, False, False]


def load(path: Path, **settings):
    return Images(str(path), **settings).load(NOWHERE)


def score(path: Path, raw):
    """Return the only chunk of images that a detector of prepared images reads."""
    spec = SimpleNamespace(
        columns=[],
        vectors=None,
        feature_names=[],
        sample_shape=raw.x.shape[1:],
        full_scale=255.0,
        image_format=ImageFormat.of_inputs(
            {"sample_shape": raw.x.shape[1:], "dtype": raw.x.dtype, **raw.source}
        ),
        accepts=lambda shape: shape == raw.x.shape[1:],
    )
    (chunk,) = read_chunks(path, spec, None, resize=False)
    return chunk


@pytest.mark.parametrize(
    ("x", "expected"),
    [(GREY, GREY[:, None]), (COLOUR, CHANNELS_FIRST), (CHANNELS_FIRST, CHANNELS_FIRST)],
    ids=["no channels", "channels last", "channels first"],
)
def test_arrays_of_any_layout_are_read_with_channels_first(npz, x, expected):
    np.testing.assert_array_equal(npz(x=x).x, expected)


def test_classes_that_are_not_normal_are_anomalous(npz):
    raw = npz({"normal": "1"}, x=GREY, y=np.array([0, 1, 1, 2]))
    assert raw.anomaly.tolist() == [True, False, False, True]
    assert not npz(x=GREY).anomaly.any()


def test_grey_is_the_luma_of_the_colours(npz):
    expected = COLOUR @ np.array([0.299, 0.587, 0.114])
    assert np.abs(npz({"grey": True}, x=COLOUR).x[:, 0] - expected).max() <= 1


@pytest.mark.parametrize("x", [GREY, COLOUR])
def test_size_resizes_arrays(npz, x):
    assert npz({"size": 3}, x=x).x.shape[2:] == (3, 3)


def test_every_file_has_its_checksum_in_the_source(npz, folder):
    def checksum(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    assert npz(x=GREY).source["files"] == {"mine.npz": checksum(folder.parent / "mine.npz")}
    expected = {f"{path.parent.name}/{path.name}": checksum(path) for path in folder.glob("*/*")}
    assert load(folder).source["files"] == expected


@pytest.mark.parametrize(
    ("settings", "arrays", "message"),
    [
        ({}, {"x": GREY[0]}, "(6, 5)"),
        ({}, {"x": np.zeros((0, 6, 5), np.uint8)}, "(0, 6, 5)"),
        ({}, {"x": GREY, "y": np.zeros(3)}, "(3,)"),
        ({}, {"x": GREY, "y": np.array(0)}, "()"),
        ({}, {"x": GREY, "y": np.array([{}, 1, 2, 3])}, "without Python objects"),
        ({"normal": "cats"}, {"x": GREY, "y": np.array(["cat", "dog"] * 2)}, "did you mean 'cat'"),
        ({"normal": "1"}, {"x": GREY}, "holds no classes"),
        ({}, {"a": GREY, "b": GREY}, "['a', 'b']"),
        ({}, {"x": np.zeros((4, 6, 5, 6), np.uint8)}, "(4, 6, 5, 6)"),
        ({}, {"x": GREY.astype(int) - 300}, "integers from -300"),
        ({}, {"x": GREY * 300.0}, "set `full_scale`"),
        ({}, {"x": np.full((4, 6, 5), np.nan)}, "not finite"),
        ({"full_scale": 10}, {"x": GREY}, "omit it"),
        ({"full_scale": -1}, {"x": GREY / 2}, "above 0"),
        ({"fit": "zoom"}, {"x": GREY}, "'zoom'"),
        ({"size": [4]}, {"x": GREY}, "[height, width]"),
        ({"background": "blanc"}, {"x": GREY}, "'blanc'"),
        ({"size": 0}, {"x": GREY}, "`size` is 0"),
    ],
)
def test_invalid_arrays_and_settings_are_rejected(npz, refusal, settings, arrays, message):
    assert message in refusal(npz, settings, **arrays)


def test_a_missing_path_or_another_kind_of_file_is_rejected(tmp_path, refusal):
    assert str(tmp_path / "none") in refusal(load, tmp_path / "none")
    (tmp_path / "x.npy").write_bytes(b"")
    assert "cannot be read as .npy" in refusal(load, tmp_path / "x.npy")
    (tmp_path / "x.mat").write_bytes(b"")
    assert "neither an .npz or .npy file nor a folder" in refusal(load, tmp_path / "x.mat")


def test_a_folder_is_read_in_sorted_order_with_its_subfolders_as_classes(folder):
    (folder / ".ipynb_checkpoints").mkdir()  # hidden folders are skipped
    raw = load(folder, normal="good")
    assert raw.id.tolist() == ["bad/a.png", "bad/b.png", "good/c.png", "good/d.png"]
    np.testing.assert_array_equal(raw.x[:, 0], GREY[[1, 0, 3, 2]])
    assert raw.label.tolist() == ["bad", "bad", "good", "good"]
    assert raw.anomaly.tolist() == [True, True, False, False]


@pytest.mark.parametrize(("grey", "channels"), [(False, 3), (True, 1)])
def test_one_image_in_colour_makes_all_three_channels_unless_grey_is_set(folder, grey, channels):
    Image.fromarray(COLOUR[0]).save(folder / "good" / "e.bmp")
    assert load(folder, grey=grey).x.shape == (5, channels, 6, 5)


def test_images_of_several_sizes_get_the_median_size_and_a_note(folder):
    for name in "ef":
        Image.fromarray(np.zeros((8, 15), np.uint8)).save(folder / "good" / f"{name}.png")
    raw = load(folder)
    assert raw.x.shape == (6, 1, 6, 5)  # four of six have this size
    assert "2 of 6 images have another aspect ratio than 6 x 5" in raw.source["notes"][0]
    assert load(folder, size=4).x.shape == (6, 1, 4, 4)
    assert not load(folder, size=4, fit="resize").source["notes"]


def test_a_damaged_image_is_rejected_by_name_or_skipped_with_a_note(folder, refusal):
    path = folder / "good" / "d.png"
    for content in (b"not a picture", path.read_bytes()[:60]):
        path.write_bytes(content)
        assert f"{path} cannot be read as an image" in refusal(load, folder)
        raw = load(folder, normal="good", skip_damaged=True)
        assert raw.id.tolist() == ["bad/a.png", "bad/b.png", "good/c.png"]
        assert raw.anomaly.tolist() == [True, True, False]
        assert f"skipped 1 damaged file: {path}" in raw.source["notes"]


def test_images_with_intact_headers_may_all_be_damaged(folder, refusal):
    for path in folder.glob("*/*.png"):
        path.write_bytes(path.read_bytes()[:60])
    assert "all other images are damaged" in refusal(load, folder, skip_damaged=True)


@pytest.mark.parametrize("x", [COLOUR, CHANNELS_FIRST, COLOUR.astype(int)])
@pytest.mark.parametrize("size", [None, 3])
def test_colours_of_an_array_are_scored_in_grey_as_they_were_prepared(npz, tmp_path, x, size):
    raw = npz({"grey": True, "size": size}, x=x)
    scored = score(tmp_path / "mine.npz", raw)
    np.testing.assert_array_equal(scored.x, raw.x)


def test_an_image_outside_of_any_class_is_rejected_and_an_empty_folder_reported(folder, refusal):
    (folder / "ugly").mkdir()
    assert "(ugly) holds no image" in load(folder).source["notes"][0]
    Image.fromarray(GREY[0]).save(folder / "loose.png")
    assert "loose.png" in refusal(load, folder)
    assert "ugly holds no image" in refusal(load, folder / "ugly")


@pytest.mark.parametrize(
    ("layout", "labels"),
    [
        (["a.png", "b.png"], ["normal", "normal"]),
        (["good/x/a.png", "good/b.png", "bad/c.png"], ["bad", "good", "good"]),
        (["train/good/a.png", "test/good/b.png", "test/hole/c.png"], ["good", "hole", "good"]),
        (["train/a.png", "other/b.png"], ["other", "train"]),
        (["good/a.png", "__MACOSX/good/._a.png", "ground_truth/hole/b.png"], ["good"]),
    ],
    ids=["flat", "nested", "MVTec", "a class named train", "masks and resource forks"],
)
def test_classes_follow_from_the_layout_of_the_folders(tmp_path, layout, labels):
    for file in layout:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(GREY[0]).save(tmp_path / file)
    raw = load(tmp_path)
    assert raw.label.tolist() == labels
    assert raw.id.tolist() == sorted(
        file
        for file in layout
        if file.rpartition("/")[0] not in ("__MACOSX/good", "ground_truth/hole")
    )
    scored = score(tmp_path, raw)
    assert scored.id.to_pylist() == raw.id.tolist()


def test_an_array_is_refused_by_its_header(tmp_path, refusal):
    claims = tmp_path / "claims.npz"
    shutil.copy(Path(__file__).parents[1] / "cases/serving/claims_100GB.npz", claims)
    bomb = tmp_path / "bomb.npz"
    np.savez_compressed(bomb, x=np.zeros((1, 9000, 9000), np.uint8))
    tracemalloc.start()
    assert "declares 120,000,000,000 bytes" in refusal(load, claims)
    assert "more than 67,108,864 pixels" in refusal(load, bomb)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_a_pipe_is_rejected_instead_of_waited_for(tmp_path, folder, refusal):
    for path in (tmp_path / "mine.npz", folder / "good/pipe.png"):
        os.mkfifo(path)
        assert f"{path} is a pipe" in refusal(load, path if path.suffix == ".npz" else folder)
