"""Defects and pictures of scored images are in the pixels of their files."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hourglass.data.geometry import Fit, Geometry
from hourglass.data.readers.chunks import Chunk, read_chunks
from hourglass.data.readers.image_format import ImageFormat
from hourglass.detection.chunk_scores import score_maps
from hourglass.evaluation.alarm_pictures import AlarmPictures
from tests.cli.files import write_npz

FITS: list[Fit] = ["resize", "crop", "pad"]
INPUT = (32, 24)
TOP, LEFT, SIDE = 60, 24, 36  # of a white square
SIZES = [(150, 90), (90, 110)]  # upright height and width, of both aspect ratios


def brightness_detector(fit: Fit) -> SimpleNamespace:
    """Return a detector whose anomaly map is the image, for inputs of 32 x 24 pixels."""
    form = ImageFormat(1, np.dtype(np.uint8), Geometry(INPUT, fit))
    alarms = SimpleNamespace(maps=None, min_area=1, require_threshold=lambda: 128.0)
    scoring = SimpleNamespace(
        score_with=lambda x, maps: (x.max((1, 2, 3)) / 255.0, x[:, 0].astype(np.float32)),
        scaling=lambda x: x / np.float32(255),
    )
    return SimpleNamespace(
        columns=[],
        vectors=None,
        sample_shape=(1, *INPUT),
        full_scale=255.0,
        image_format=form,
        accepts=lambda shape: shape == (1, *INPUT),
        pixel_alarms=alarms,
        scoring=scoring,
    )


def white_square(height: int, width: int) -> np.ndarray:
    """Return an image that is black but for a square."""
    image = np.zeros((height, width), np.uint8)
    image[TOP - 30 * (height < 100) :][:SIDE, LEFT : LEFT + SIDE] = 255
    return image


def read(path: Path, detector: SimpleNamespace) -> Chunk:
    (chunk,) = read_chunks(path, detector, None, False)
    assert chunk.x.shape[1:] == (1, *INPUT)
    return chunk


@pytest.mark.parametrize("kind", ["file", "turned file", "array"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fit", FITS)
def test_a_box_is_that_of_the_square_in_its_file(tmp_path, fit, size, kind):
    image, file = white_square(*size), tmp_path / "new.png"
    if kind == "array":
        file = write_npz(image[None, None], tmp_path)
    else:
        exif = Image.Exif()
        exif[274] = 6 if kind == "turned file" else 1  # stored with a quarter turn to the left
        stored = np.rot90(image) if kind == "turned file" else image
        Image.fromarray(np.ascontiguousarray(stored)).save(file, exif=exif)
    detector = brightness_detector(fit)
    _, _, [[defect]] = score_maps(detector, read(file, detector))
    rows, columns = np.nonzero(image)
    pixel = max(size[0] / INPUT[0], size[1] / INPUT[1])  # of the input, in those of the file
    found = (defect.x, defect.y, defect.x + defect.width, defect.y + defect.height)
    expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.subtract(found, expected)).max() <= pixel + 1
    assert defect.area == pytest.approx(SIDE**2, rel=0.25)


def test_tiled_images_keep_their_pixels(tmp_path):
    detector = brightness_detector("tile")
    detector.image_format = ImageFormat(1, np.dtype(np.uint8), Geometry(None, "tile"))
    detector.accepts = lambda shape: True
    Image.fromarray(white_square(150, 90)).save(tmp_path / "new.png")
    (chunk,) = read_chunks(tmp_path / "new.png", detector, None, False)
    _, _, [[found]] = score_maps(detector, chunk)
    assert (found.x, found.y, found.width, found.height) == (LEFT, TOP, SIDE, SIDE)
    assert found.area == SIDE**2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fit", FITS)
def test_pictures_have_the_size_of_the_file(tmp_path, fit, size):
    image, detector = white_square(*size), brightness_detector(fit)
    Image.fromarray(image).save(tmp_path / "new.png")
    chunk = read(tmp_path / "new.png", detector)
    scores, maps, [[defect]] = score_maps(detector, chunk)
    pictures = AlarmPictures(detector, tmp_path / "pictures", lambda scores: scores > 0)
    pictures.add(chunk, scores, maps, np.ones(1, int))
    mask, overlay = (
        np.asarray(Image.open(tmp_path / "pictures" / kind / pictures.names[0]))
        for kind in ("masks", "overlays")
    )
    assert mask.shape == overlay.shape[:2] == size
    overlap = (image > 0) & (mask > 0)
    assert overlap.sum() / ((image > 0) | (mask > 0)).sum() > 0.75
    rows, columns = np.nonzero(mask)
    assert set(np.unique(mask)) == {0, 255}
    assert defect.x <= columns.min() <= columns.max() < defect.x + defect.width
    assert defect.y <= rows.min() <= rows.max() < defect.y + defect.height
    brightness = overlay.sum(2, dtype=int)
    assert brightness[overlap].mean() > 3 * brightness[(image == 0) & (mask == 0)].mean()


def test_a_large_file_has_pictures_of_the_input(tmp_path, monkeypatch):
    monkeypatch.setattr("hourglass.evaluation.alarm_pictures.MAX_SIDE", 100)
    detector = brightness_detector("pad")
    Image.fromarray(white_square(150, 90)).save(tmp_path / "new.png")
    chunk = read(tmp_path / "new.png", detector)
    scores, maps, _ = score_maps(detector, chunk)
    pictures = AlarmPictures(detector, tmp_path / "pictures", lambda scores: scores > 0)
    pictures.add(chunk, scores, maps, np.ones(1, int))
    with Image.open(tmp_path / "pictures/masks" / pictures.names[0]) as mask:
        assert mask.size == INPUT[::-1]


@pytest.mark.parametrize("fit", FITS)
def test_a_box_of_the_padding_lies_in_the_file(fit):
    left, top, right, bottom = Geometry(INPUT, fit).original_box((0, 0, 1, 1), 20, 90)
    assert 0 <= left < right <= 90
    assert 0 <= top < bottom <= 20


@pytest.mark.parametrize("fit", FITS)
def test_the_whole_input_is_the_whole_original_or_its_middle(fit):
    box = Geometry((20, 30), fit).original_box((0, 0, 30, 20), 40, 90)
    assert box == ((15, 0, 75, 40) if fit == "crop" else (0, 0, 90, 40))


def test_an_image_of_the_size_of_the_input_keeps_its_pixels():
    for fit in FITS:
        geometry = Geometry((37, 53), fit)
        assert geometry.original_box((3, 7, 11, 36), 37, 53) == (3, 7, 11, 36)
        assert geometry.original_area(37, 53) == 1
