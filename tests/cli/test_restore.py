import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hourglass.cli.restore import restore
from hourglass.data.prepared import Prepared
from hourglass.detection.detector import Detector
from hourglass.detection.scoring import reconstructions
from hourglass.studies.restoration.contact_sheet import MOST
from tests.workspaces import FakeRecorder, calibrated, lean, set_up, set_yaml, working_in

DIGITS, COLOURS = ("digits", "convolutional"), ("photographs", "colours")


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    """Give a working folder with a cell of digits, and one that sees coarse grey photographs."""
    folder = set_up(tmp_path_factory.mktemp("restore") / "workspace", epochs=1)
    set_yaml(
        folder / "configs/model/colours.yaml", "class_path",
        value="hourglass.models.convolutional.Convolutional",
    )  # fmt: skip
    init_args = {"channels": [4], "latent_dim": 4, "grey": True, "downsampling": 2}
    set_yaml(folder / "configs/model/colours.yaml", "init_args", value=init_args)
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
    """Write images (N, C, H, W) as PNG files into a folder, every second one below it."""
    (folder / "more").mkdir(parents=True)
    for i, image in enumerate(np.round(images * (255.0 / white)).astype(np.uint8)):
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        Image.fromarray(pixels).save(folder / ("more" * (i % 2)) / f"{i:02}.png")
    return folder


def as_npz(images: np.ndarray, folder: Path) -> Path:
    np.savez(folder / "new.npz", x=images)
    return folder / "new.npz"


def read(path: Path) -> np.ndarray:
    """Return an image file as (C, H, W) uint8."""
    pixels = np.asarray(Image.open(path))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def expected(images: np.ndarray, cell: tuple[str, str]) -> np.ndarray:
    """Return what a cell's network makes of unscaled images of its own size, as uint8."""
    scoring = Detector.load(Path("runs", *cell)).scoring
    found = reconstructions(scoring.network, images, scoring.scaling)
    return np.round(255 * found).astype(np.uint8)


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two images are alike but for rounding."""
    return one.shape == other.shape and np.abs(one.astype(int) - other).max() <= 1


def test_every_image_of_a_folder_is_restored_under_its_name(here, digits):
    out = restore(*DIGITS, as_files(digits, here / "new", white=16), here / "out")
    wanted = expected(digits, DIGITS)
    for i, image in enumerate(wanted):
        assert near(read(out / ("more" * (i % 2)) / f"{i:02}.png"), image)
    names = sorted(path.name for path in out.rglob("*.png"))
    assert names == [f"{i:02}.png" for i in range(len(digits))]


def test_an_array_becomes_numbered_images(here, digits):
    out = restore(*DIGITS, as_npz(digits, here), here / "out")
    for i, image in enumerate(expected(digits, DIGITS)):
        assert near(read(out / f"{i}.png"), image)


def test_many_portions_are_as_one(here, digits, monkeypatch):
    file = as_files(digits, here / "new", white=16)
    whole = restore(*DIGITS, file, here / "whole")
    monkeypatch.setattr("hourglass.data.readers.image_chunks.CHUNK_BYTES", 500)
    parts = restore(*DIGITS, file, here / "parts")
    for path in whole.rglob("*.png"):
        assert near(read(parts / path.relative_to(whole)), read(path))


def test_one_image_goes_to_a_folder_of_the_working_one(here, digits):
    file = as_files(digits[:1], here / "new", white=16) / "00.png"
    try:
        out = restore(*DIGITS, file)
        assert out == Path("00-restored")
        assert near(read(out / "00.png"), expected(digits[:1], DIGITS)[0])
    finally:
        shutil.rmtree("00-restored")
        Path("00-restored-sheet.png").unlink()


def test_the_sheet_shows_the_first_images(here, digits):
    assert len(digits) > MOST
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
    out = restore(*DIGITS, as_npz(large, here), here / "out", tile=True)
    found = read(out / "0.png")
    assert found.shape == (1, 24, 16)
    corner = expected(large[:, :, :8, :8], DIGITS)[0, 0, 0, 0]
    assert abs(int(found[0, 0, 0]) - int(corner)) <= 1  # which no other window sees


def test_images_of_many_sizes_are_tiled_and_smaller_ones_refused(here, digits, refusal):
    folder = here / "new"
    as_files(digits[:2], folder, white=16)
    Image.fromarray(np.zeros((9, 30), np.uint8)).save(folder / "large.png")
    out = restore(*DIGITS, folder, here / "out", tile=True)
    assert read(out / "large.png").shape == (1, 9, 30)
    assert read(out / "00.png").shape == (1, 8, 8)
    Image.fromarray(np.zeros((7, 30), np.uint8)).save(folder / "narrow.png")
    assert "30 x 7" in refusal(restore, *DIGITS, folder, here / "other", tile=True)


def luma(images: np.ndarray) -> np.ndarray:
    return np.tensordot([0.299, 0.587, 0.114], images.astype(float), (0, 1))[:, None]


def test_a_network_for_grey_sees_the_luma_of_colours(here, patches):
    out = restore(*COLOURS, as_files(patches, here / "new"), here / "out")
    grey = np.broadcast_to(luma(patches), patches.shape).astype(np.float32)
    for i, image in enumerate(expected(grey, COLOURS)):
        assert near(read(out / ("more" * (i % 2)) / f"{i:02}.png"), image)


def test_a_network_for_grey_takes_grey_images(here, patches):
    grey = np.round(luma(patches)).astype(np.uint8)
    wanted = expected(np.broadcast_to(grey, patches.shape), COLOURS)
    arrays = restore(*COLOURS, as_npz(grey, here), here / "arrays")
    files = restore(*COLOURS, as_files(grey, here / "new"), here / "files")
    assert near(read(arrays / "0.png"), wanted[0])
    assert near(read(files / "00.png"), wanted[0])


def test_a_network_for_coarse_images_takes_small_ones(here, patches):
    small = patches[:, :, ::2, ::2]
    grey = np.broadcast_to(luma(small), small.shape).astype(np.float32)
    wanted = expected(grey.repeat(2, 2).repeat(2, 3), COLOURS)
    out = restore(*COLOURS, as_npz(small, here), here / "out")
    for i, image in enumerate(wanted):
        assert near(read(out / f"{i}.png"), image)


def test_a_network_for_coarse_images_enlarges_what_is_tiled(here, patches):
    x = np.concatenate([patches, patches], 3)[:, :, :11, :29]
    out = restore(*COLOURS, as_npz(x, here), here / "out", tile=True)
    assert read(out / "0.png").shape == (3, 22, 58)


def test_tables_are_refused(here, refusal):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Detector, "feature_names", ["a"])
        assert "digits is a table" in refusal(restore, *DIGITS, here / "new.csv", here / "out")


def test_a_table_of_new_samples_is_refused(here, refusal):
    (here / "new.csv").write_text("a\n1\n")
    assert "new.csv" in refusal(restore, *DIGITS, here / "new.csv", here / "out")


def test_a_cell_that_was_not_calibrated_is_refused(here, refusal):
    assert "hourglass train digits linear" in refusal(restore, "digits", "linear", here)


@pytest.mark.parametrize("file", ["nowhere", "nothing.npz"])
def test_a_file_without_images_is_refused(here, refusal, file):
    np.savez(here / "nothing.npz", x=np.zeros((0, 8, 8), np.uint8))
    assert file in refusal(restore, *DIGITS, here / file, here / "out")
    assert not (here / "out").exists()


def test_two_images_of_one_name_are_refused(here, digits, refusal):
    folder = as_files(digits[:1], here / "new", white=16)
    Image.fromarray(digits[0, 0]).save(folder / "00.bmp")
    assert "00.png" in refusal(restore, *DIGITS, folder, here / "out")


def test_what_is_restored_can_be_restored_again(here, digits):
    out = restore(*DIGITS, as_files(digits, here / "new", white=16), here / "out")
    again = restore(*DIGITS, out, here / "again")
    assert len(list(again.rglob("*.png"))) == len(digits)


def test_a_damaged_image_leaves_what_was_there(here, digits, refusal):
    folder = as_files(digits, here / "new", white=16)
    out = restore(*DIGITS, folder, here / "out")
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    (folder / "zz.png").write_bytes(b"\x89PNG no more")
    assert "zz.png" in refusal(restore, *DIGITS, folder, here / "out")
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == before
    assert sorted(path.name for path in here.iterdir()) == ["new", "out", "out-sheet.png"]


def test_its_own_folder_is_replaced_and_no_other(here, digits, refusal):
    folder = as_files(digits, here / "new", white=16)
    out = restore(*DIGITS, folder, here / "out")
    restore(*DIGITS, folder / "00.png", out)
    assert sorted(path.name for path in out.iterdir()) == ["00.png"]
    (out / "mine.txt").write_text("mine")
    assert "other files" in refusal(restore, *DIGITS, folder, out)
    assert (out / "mine.txt").exists()
    (out / "mine.txt").unlink()
    Image.fromarray(digits[0, 0]).save(out / "mine.png")
    assert "other files" in refusal(restore, *DIGITS, folder, out)
    assert (out / "mine.png").exists()
    for taken in (folder, here, folder / "more", folder / "new"):
        assert "another folder" in refusal(restore, *DIGITS, folder, taken)
    assert len(list(folder.rglob("*.png"))) == len(digits)


def test_resize_and_tile_exclude_each_other(here, refusal):
    assert "tile" in refusal(restore, *DIGITS, here, here / "out", resize=True, tile=True)


@pytest.mark.slow
def test_the_command_needs_neither_lightning_nor_mlflow(cells, here, digits):
    file = as_npz(digits, here)
    output = lean(cells, "restore", *DIGITS, str(file), "--out", str(here / "out"))
    assert f"{len(digits)} images" in output
    assert len(list((here / "out").glob("*.png"))) == len(digits)
