"""Command `restore`: files of restored images, and refused inputs and outputs."""

import shutil
from collections.abc import Iterator
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
from tests.workspaces import FakeRecorder, calibrated, lean, set_up, set_yaml, working_in

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


@pytest.fixture
def here(cells, tmp_path) -> Iterator[Path]:
    """Work among the cells; give a folder for files."""
    with working_in(cells):
        yield tmp_path


@pytest.fixture(scope="module")
def digits(cells) -> np.ndarray:
    """Give some test digits, (N, 1, 8, 8), from 0 to 16."""
    return np.array(Prepared.open(cells / "data/prepared/digits").split("test").x[:25])


@pytest.fixture(scope="module")
def patches(cells) -> np.ndarray:
    """Give some patches of photographs, (N, 3, 16, 16), from 0 to 255."""
    return np.array(Prepared.open(cells / "data/prepared/photographs").split("test").x[:6])


def as_files(images: np.ndarray, folder: Path, white: int = 255) -> Path:
    """Write images (N, C, H, W) as PNG files, every second one into a subfolder."""
    (folder / "more").mkdir(parents=True)
    for i, image in enumerate(np.round(images * (255.0 / white)).astype(np.uint8)):
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        Image.fromarray(pixels).save(folder / name(i))
    return folder


def name(i: int) -> Path:
    return Path("more" * (i % 2)) / f"{i:02}.png"


def as_npz(images: np.ndarray, folder: Path) -> Path:
    np.savez(folder / "new.npz", x=images)
    return folder / "new.npz"


def read(path: Path) -> np.ndarray:
    """Read an image file as (C, H, W) uint8."""
    pixels = np.asarray(Image.open(path))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def expected(images: np.ndarray, cell: tuple[str, str]) -> np.ndarray:
    """Return the output of a cell's network for unscaled images of its size, as uint8."""
    scoring = Detector.of_cell(Cell(*cell)).scoring
    return np.round(255 * reconstructions(scoring.network, images, scoring.scaling)).astype(
        np.uint8
    )


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two images are equal up to rounding."""
    return one.shape == other.shape and np.abs(one.astype(int) - other).max() <= 1


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_image_of_a_folder_is_restored_under_its_name(here, digits, monkeypatch):
    folder = as_files(digits, here / "new", white=16)
    whole = restore(*DIGITS, folder, here / "whole")
    monkeypatch.setattr("hourglass.data.readers.image_chunks.CHUNK_BYTES", 500)
    chunks = restore(*DIGITS, folder, here / "chunks")
    for out in (whole, chunks):
        assert len(list(out.rglob("*.png"))) == len(digits)
        for i, image in enumerate(expected(digits, DIGITS)):
            assert near(read(out / name(i)), image)
    again = restore(*DIGITS, whole, here / "again")  # restored images can be restored
    assert len(list(again.rglob("*.png"))) == len(digits)


def test_images_of_an_array_are_numbered(here, digits):
    out = restore(*DIGITS, as_npz(digits, here), here / "out")
    for i, image in enumerate(expected(digits, DIGITS)):
        assert near(read(out / f"{i}.png"), image)


def test_the_default_folder_is_in_the_working_folder(here, digits):
    file = as_files(digits[:1], here / "new", white=16) / "00.png"
    try:
        out = restore(*DIGITS, file)
        assert out == Path("00-restored")
        assert near(read(out / "00.png"), expected(digits[:1], DIGITS)[0])
    finally:
        shutil.rmtree("00-restored")
        Path("00-restored-sheet.png").unlink()


def test_the_sheet_shows_the_first_images(here, digits):
    assert len(digits) > SHEET_IMAGES
    restore(*DIGITS, as_npz(digits[:3], here), here / "few")
    restore(*DIGITS, as_npz(digits, here), here / "many")
    few, many = (read(here / f"{name}-sheet.png").shape for name in ("few", "many"))
    assert few[2] < many[2]
    assert few[1] < many[1]


def test_images_of_another_size_are_refused_or_resized(here, digits, refusal):
    file = as_files(digits.repeat(2, 2).repeat(2, 3), here / "new", white=16)
    assert "16 x 16" in refusal(restore, *DIGITS, file, here / "out")
    assert not (here / "out").exists()
    out = restore(*DIGITS, file, here / "out", resize=True)
    assert read(out / "00.png").shape == (1, 8, 8)


def test_larger_images_are_tiled(here, digits):
    large = np.concatenate([digits[:3].reshape(1, 24, 8)] * 2, 2)[:, None]
    image = read(restore(*DIGITS, as_npz(large, here), here / "out", tile=True) / "0.png")
    assert image.shape == (1, 24, 16)
    corner = expected(large[:, :, :8, :8], DIGITS)[0, 0, 0, 0]  # in a single window
    assert abs(int(image[0, 0, 0]) - int(corner)) <= 1


def test_images_of_many_sizes_are_tiled_and_smaller_ones_refused(here, digits, refusal):
    folder = as_files(digits[:2], here / "new", white=16)
    Image.fromarray(np.zeros((9, 30), np.uint8)).save(folder / "large.png")
    out = restore(*DIGITS, folder, here / "out", tile=True)
    assert read(out / "large.png").shape == (1, 9, 30)
    assert read(out / "00.png").shape == (1, 8, 8)
    Image.fromarray(np.zeros((7, 30), np.uint8)).save(folder / "narrow.png")
    assert "30 x 7" in refusal(restore, *DIGITS, folder, here / "other", tile=True)


def luma(images: np.ndarray) -> np.ndarray:
    return np.tensordot([0.299, 0.587, 0.114], images.astype(float), (0, 1))[:, None]


def test_a_network_trained_on_grey_takes_colour_and_grey_images(here, patches):
    out = restore(*COLOURS, as_files(patches, here / "new"), here / "out")
    colours = np.broadcast_to(luma(patches), patches.shape).astype(np.float32)
    for i, image in enumerate(expected(colours, COLOURS)):
        assert near(read(out / name(i)), image)
    grey = np.round(luma(patches)).astype(np.uint8)
    image = expected(np.broadcast_to(grey, patches.shape), COLOURS)[0]
    assert near(read(restore(*COLOURS, as_npz(grey, here), here / "arrays") / "0.png"), image)
    files = restore(*COLOURS, as_files(grey, here / "grey"), here / "files")
    assert near(read(files / "00.png"), image)


def test_a_network_trained_on_downsampled_images_takes_and_tiles_small_ones(here, patches):
    small = patches[:, :, ::2, ::2]
    grey = np.broadcast_to(luma(small), small.shape).astype(np.float32)
    out = restore(*COLOURS, as_npz(small, here), here / "out")
    for i, image in enumerate(expected(grey.repeat(2, 2).repeat(2, 3), COLOURS)):
        assert near(read(out / f"{i}.png"), image)
    wide = np.concatenate([patches, patches], 3)[:, :, :11, :29]
    tiles = restore(*COLOURS, as_npz(wide, here), here / "tiles", tile=True)
    assert read(tiles / "0.png").shape == (3, 22, 58)


# Refused inputs


def test_tables_are_refused(here, refusal, monkeypatch):
    (here / "new.csv").write_text("a\n1\n")
    assert "new.csv" in refusal(restore, *DIGITS, here / "new.csv", here / "out")
    monkeypatch.setattr(Detector, "feature_names", ["a"])
    assert "digits is a table" in refusal(restore, *DIGITS, here / "new.csv", here / "out")


def test_an_untrained_cell_and_resize_with_tile_are_refused(here, refusal):
    assert "hourglass train digits linear" in refusal(restore, "digits", "linear", here)
    assert "tile" in refusal(restore, *DIGITS, here, here / "out", resize=True, tile=True)


@pytest.mark.parametrize("file", ["nowhere", "nothing.npz"])
def test_a_file_without_images_is_refused(here, refusal, file):
    np.savez(here / "nothing.npz", x=np.zeros((0, 8, 8), np.uint8))
    assert file in refusal(restore, *DIGITS, here / file, here / "out")
    assert not (here / "out").exists()


def test_two_images_of_one_name_are_refused(here, digits, refusal):
    folder = as_files(digits[:1], here / "new", white=16)
    Image.fromarray(digits[0, 0]).save(folder / "00.bmp")
    assert "00.png" in refusal(restore, *DIGITS, folder, here / "out")


def test_a_damaged_image_leaves_the_previous_output(here, digits, refusal):
    folder = as_files(digits, here / "new", white=16)
    out = restore(*DIGITS, folder, here / "out")
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    (folder / "zz.png").write_bytes(b"\x89PNG no more")
    assert "zz.png" in refusal(restore, *DIGITS, folder, here / "out")
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == before
    assert names(here) == ["new", "out", "out-sheet.png"]


def test_only_a_folder_of_restored_images_is_replaced(here, digits, refusal):
    folder = as_files(digits, here / "new", white=16)
    out = restore(*DIGITS, folder, here / "out")
    restore(*DIGITS, folder / "00.png", out)
    assert names(out) == ["00.png"]
    for other in ("mine.txt", "mine.png"):
        Image.fromarray(digits[0, 0]).save(out / other, "PNG")
        assert "other files" in refusal(restore, *DIGITS, folder, out)
        assert names(out) == ["00.png", other]
        (out / other).unlink()
    for target in (folder, here, folder / "more"):
        assert "would overwrite" in refusal(restore, *DIGITS, folder, target)
    assert len(list(folder.rglob("*.png"))) == len(digits)


@pytest.mark.slow
def test_the_command_needs_neither_lightning_nor_mlflow(cells, here, digits):
    file = as_npz(digits, here)
    output = lean(cells, "restore", *DIGITS, str(file), "--out", str(here / "out"))
    assert f"{len(digits)} images" in output
    assert len(list((here / "out").glob("*.png"))) == len(digits)
