"""Command `restore`: files of restored images, and refused inputs and outputs."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hourglass.cli.restore import restore
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.detection.detector import Detector
from hourglass.detection.scoring import reconstructions
from hourglass.studies.restoration.restorer import SHEET_IMAGES
from tests.cli.files import image_name, write_images, write_npz
from tests.workspaces import FakeRecorder, calibrated, set_up, set_yaml, working_in

DIGITS, COLOURS = ("digits", "convolutional"), ("photographs", "colours")


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    """Give a working folder with a cell of digits, and one trained on small, grey photographs."""
    folder = set_up(tmp_path_factory.mktemp("restore") / "workspace", epochs=1)
    config = folder / "configs/model/colours.yaml"
    init_args = {"channels": [4], "latent_dim": 4, "grey": True, "downsampling": 2}
    set_yaml(config, "class_path", value="hourglass.models.convolutional.Convolutional")
    set_yaml(config, "init_args", value=init_args)
    with working_in(folder, FakeRecorder()):
        calibrated(DIGITS, COLOURS)
    return folder


@pytest.fixture(scope="module")
def digits(cells) -> np.ndarray:
    """Give some test digits, (N, 1, 8, 8), from 0 to 16."""
    return np.array(Prepared.open(cells / "data/prepared/digits").split("test").x[:25])


@pytest.fixture(scope="module")
def patches(cells) -> np.ndarray:
    """Give some patches of photographs, (N, 3, 16, 16), from 0 to 255."""
    return np.array(Prepared.open(cells / "data/prepared/photographs").split("test").x[:6])


def read(path: Path) -> np.ndarray:
    """Read an image file as (C, H, W) uint8."""
    pixels = np.asarray(Image.open(path))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def assert_restored(paths: Iterable[Path], images: np.ndarray, cell: tuple[str, str]) -> None:
    """Compare files with the output of a cell's network for unscaled images of its size."""
    scoring = Detector.of_cell(Cell(*cell)).scoring
    expected = 255 * reconstructions(scoring.network, images, scoring.scaling)
    for path, image in zip(paths, expected, strict=True):
        np.testing.assert_allclose(read(path), image, atol=1)  # both are rounded


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_every_image_of_a_folder_is_restored_under_its_name(here, digits, monkeypatch):
    folder = write_images(digits, here / "new")
    whole = restore(*DIGITS, folder, here / "whole")
    monkeypatch.setattr("hourglass.data.readers.numpy_files.CHUNK_BYTES", 500)
    for out in (whole, restore(*DIGITS, folder, here / "chunks")):
        assert_restored([out / image_name(i) for i in range(len(digits))], digits, DIGITS)
        assert len(files(out)) == len(digits)
    again = restore(*DIGITS, whole, here / "again")  # restored images can be restored
    assert len(files(again)) == len(digits)


def test_images_of_an_array_are_numbered(here, digits):
    out = restore(*DIGITS, write_npz(digits, here), here / "out")
    assert_restored([out / f"{i}.png" for i in range(len(digits))], digits, DIGITS)


def test_the_default_folder_is_in_the_working_folder(here, digits):
    file = write_images(digits[:1], here / "new") / image_name(0)
    try:
        assert restore(*DIGITS, file) == Path("000-restored")
        assert_restored([Path("000-restored/000.png")], digits[:1], DIGITS)
    finally:
        shutil.rmtree("000-restored")
        Path("000-restored-sheet.png").unlink()


def test_the_sheet_shows_the_first_images(drawing_here, digits):
    assert len(digits) > SHEET_IMAGES
    shapes = []
    for name, count in (("few", 3), ("many", len(digits))):
        restore(*DIGITS, write_npz(digits[:count], drawing_here), drawing_here / name)
        shapes.append(read(drawing_here / f"{name}-sheet.png").shape)
    assert shapes[0][1] < shapes[1][1]
    assert shapes[0][2] < shapes[1][2]


def test_images_of_another_size_are_refused_or_resized(here, digits, refusal):
    file = write_images(digits.repeat(2, 2).repeat(2, 3), here / "new")
    assert "16 x 16" in refusal(restore, *DIGITS, file, here / "out")
    assert not (here / "out").exists()
    out = restore(*DIGITS, file, here / "out", resize=True)
    assert read(out / image_name(0)).shape == (1, 8, 8)


def test_images_of_many_sizes_are_tiled_and_smaller_ones_refused(here, digits, refusal):
    folder = write_images(digits[:2], here / "new")
    large = np.tile(digits[0, 0], (3, 2))
    Image.fromarray(large).save(folder / "large.png")
    out = restore(*DIGITS, folder, here / "out", tile=True)
    assert read(out / image_name(0)).shape == (1, 8, 8)
    tiled = restore(*DIGITS, write_npz(large[None, None], here), here / "array", tile=True)
    image = read(tiled / "0.png")
    assert image.shape == read(out / "large.png").shape == (1, 24, 16)
    (corner,) = files(restore(*DIGITS, write_npz(digits[:1], here), here / "corner"))
    assert abs(int(image[0, 0, 0]) - int(read(corner)[0, 0, 0])) <= 1  # in a single window
    Image.fromarray(np.zeros((7, 30), np.uint8)).save(folder / "narrow.png")
    assert "30 x 7" in refusal(restore, *DIGITS, folder, here / "other", tile=True)


def luma(images: np.ndarray) -> np.ndarray:
    return np.tensordot([0.299, 0.587, 0.114], images.astype(float), (0, 1))[:, None]


def test_a_network_trained_on_grey_takes_colour_and_grey_images(here, patches):
    out = restore(*COLOURS, write_images(patches, here / "new", 255), here / "out")
    colours = np.broadcast_to(luma(patches), patches.shape).astype(np.float32)
    names = [image_name(i) for i in range(len(patches))]
    assert_restored([out / name for name in names], colours, COLOURS)
    grey = np.round(luma(patches)).astype(np.uint8)
    array = restore(*COLOURS, write_npz(grey, here), here / "array")
    folder = restore(*COLOURS, write_images(grey, here / "grey", 255), here / "folder")
    for paths in ([array / f"{i}.png" for i in range(6)], [folder / name for name in names]):
        assert_restored(paths, np.broadcast_to(grey, patches.shape), COLOURS)


def test_a_network_trained_on_downsampled_images_takes_and_tiles_small_ones(here, patches):
    small = patches[:, :, ::2, ::2]
    grey = np.broadcast_to(luma(small), small.shape).astype(np.float32)
    out = restore(*COLOURS, write_npz(small, here), here / "out")
    paths = [out / f"{i}.png" for i in range(len(small))]
    assert_restored(paths, grey.repeat(2, 2).repeat(2, 3), COLOURS)
    wide = np.concatenate([patches, patches], 3)[:, :, :11, :29]
    tiles = restore(*COLOURS, write_npz(wide, here), here / "tiles", tile=True)
    assert read(tiles / "0.png").shape == (3, 22, 58)


# Refused inputs


def test_tables_are_refused(here, refusal, monkeypatch):
    (here / "new.csv").write_text("a\n1\n")
    assert "new.csv" in refusal(restore, *DIGITS, here / "new.csv", here / "out")
    monkeypatch.setattr(Detector, "feature_names", ["a"])
    assert "digits is a table" in refusal(restore, *DIGITS, here / "new.csv", here / "out")


@pytest.mark.parametrize(
    ("file", "options", "word"),
    [
        ("nowhere", {}, "nowhere"),
        ("new.npz", {}, "new.npz"),
        ("twice", {}, "000.png"),
        ("twice", {"resize": True, "tile": True}, "tile"),
    ],
)
def test_an_unusable_input_is_refused(here, digits, refusal, file, options, word):
    write_npz(np.zeros((0, 8, 8), np.uint8), here)  # no images
    folder = write_images(digits[:1], here / "twice")  # two images of the same name
    Image.fromarray(digits[0, 0]).save(folder / "000.bmp")
    assert word in refusal(restore, *DIGITS, here / file, here / "out", **options)
    assert not (here / "out").exists()


def test_a_damaged_image_leaves_the_previous_output(here, digits, refusal):
    folder = write_images(digits, here / "new")
    out = restore(*DIGITS, folder, here / "out")
    before = {path: path.read_bytes() for path in files(out)}
    (folder / "zz.png").write_bytes(b"\x89PNG no more")
    assert "zz.png" in refusal(restore, *DIGITS, folder, here / "out")
    assert {path: path.read_bytes() for path in files(out)} == before
    assert sorted(path.name for path in here.iterdir()) == ["new", "out", "out-sheet.png"]


def test_only_a_folder_of_restored_images_is_replaced(here, digits, refusal):
    folder = write_images(digits, here / "new")
    out = restore(*DIGITS, folder, here / "out")
    restore(*DIGITS, folder / image_name(0), out)
    assert files(out) == [out / image_name(0)]
    for name in ("mine.txt", "mine.png"):
        Image.fromarray(digits[0, 0]).save(out / name, "PNG")
        assert "other files" in refusal(restore, *DIGITS, folder, out)
        assert files(out) == [out / image_name(0), out / name]
        (out / name).unlink()
    for target in (folder, here, folder / "more"):
        assert "would overwrite" in refusal(restore, *DIGITS, folder, target)
    assert len(files(folder)) == len(digits)
