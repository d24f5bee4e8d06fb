"""Command `score` of images: the table of defects, and pictures of alarms."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hourglass.cli.score import score
from hourglass.core.paths import Cell
from hourglass.data.readers.image_chunks import read_image_chunks
from hourglass.detection.defects import defect_frame, defects_of_map
from hourglass.detection.detector import Detector
from tests.cli import IMAGES
from tests.cli.files import read_table, write_images, write_npz

MARKED = 5  # the first images have a bright square


@pytest.fixture(scope="module")
def damaged(images) -> np.ndarray:
    """Give 40 digits, the first of them with a defect."""
    x = images.copy()
    x[:MARKED, :, 2:5, :2] = 16  # dark in all digits
    return x


@pytest.fixture
def detector(drawing_here) -> Detector:
    return Detector.of_cell(Cell(*IMAGES))


def pictures(folder: Path, kind: str) -> dict[int, np.ndarray]:
    """Return the pictures of a kind by number of the image, from 0."""
    return {
        int(path.name[:6]) - 1: np.asarray(Image.open(path))
        for path in (folder / kind).glob("*.png")
    }


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("chunk", [64 * 7, 16 << 20])
def test_defects_are_those_of_the_maps(here, damaged, detector, suffix, chunk, monkeypatch):
    monkeypatch.setattr("hourglass.data.readers.numpy_files.CHUNK_BYTES", chunk)
    out = here / f"out{suffix}"
    table = read_table(score(*IMAGES, write_npz(damaged, here), out, heat_maps=0))
    threshold = detector.pixels.require_threshold()
    maps = np.concatenate(list(detector.anomaly_maps(damaged)))
    expected = defect_frame([defects_of_map(each, threshold) for each in maps])
    found = read_table(here / f"out-defects{suffix}")
    assert len(found)
    assert found.id.tolist() == [f"new.npz/{image}" for image in expected.image]
    assert found.area.tolist() == expected.area.tolist()
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-5)
    assert table.defects.tolist() == [(expected.image == i).sum() for i in range(len(damaged))]


def test_scores_are_those_of_the_table_without_maps(here, damaged, detector):
    table = read_table(score(*IMAGES, write_npz(damaged, here), here / "out.parquet", heat_maps=0))
    np.testing.assert_array_equal(table.score, detector.scoring(damaged))


@pytest.mark.parametrize("rule", [{}, {"top": 3}, {"false_discovery_rate": 0.3}])
@pytest.mark.parametrize("chunk", [64 * 7, 16 << 20])
def test_every_alarm_and_image_with_a_defect_has_an_overlay_and_a_mask(
    here, damaged, detector, rule, chunk, monkeypatch
):
    monkeypatch.setattr("hourglass.data.readers.numpy_files.CHUNK_BYTES", chunk)
    table = read_table(score(*IMAGES, write_npz(damaged, here), here / "out.csv", **rule))
    folder = here / "out.heat_maps"
    expected = np.flatnonzero(table.alarm | (table.defects > 0)).tolist()
    overlays, masks = pictures(folder, "overlays"), pictures(folder, "masks")
    assert sorted(overlays) == sorted(masks) == expected
    assert table.overlay.dropna().index.tolist() == expected
    assert all(Path(path).exists() for path in table.overlay.dropna())
    maps = np.concatenate(list(detector.anomaly_maps(damaged)))
    for i, mask in masks.items():
        assert overlays[i].shape == (8, 8, 3)
        np.testing.assert_array_equal(mask == 255, maps[i] > detector.pixels.threshold.value)


def test_without_heat_maps_there_are_no_pictures(here, damaged):
    table = read_table(score(*IMAGES, write_npz(damaged, here), here / "out.csv", heat_maps=0))
    assert not (here / "out.heat_maps").exists()
    assert "overlay" not in table


def test_a_detector_without_a_pixel_threshold_writes_no_defects(here, damaged, monkeypatch):
    monkeypatch.setattr("hourglass.detection.detector.PixelAlarms.from_dict", lambda content: None)
    table = read_table(score(*IMAGES, write_npz(damaged, here), here / "out.csv"))
    assert "defects" not in table
    assert not (here / "out-defects.csv").exists()


def test_pictures_have_the_names_of_the_files_of_a_folder(here, damaged):
    score(*IMAGES, write_images(damaged, here / "new"), here / "out.csv")
    names = {path.name for path in (here / "out.heat_maps/overlays").iterdir()}
    assert all(name.endswith("_png.png") for name in names)
    assert names


def test_defects_of_resized_images_are_in_pixels_of_their_files(here, damaged, detector):
    large = np.kron(damaged, np.ones((1, 1, 5, 3)))  # 40 x 24 pixels
    score(*IMAGES, write_images(large, here / "new"), here / "out.csv", resize=True)
    found = read_table(here / "out-defects.csv")
    assert len(found)
    (chunk,) = read_image_chunks(here / "new", detector, True, detector.accepts)
    maps = np.concatenate(list(detector.anomaly_maps(chunk.x)))
    threshold = detector.pixels.require_threshold()
    expected = defect_frame([defects_of_map(each, threshold) for each in maps])
    for name, factor in {"area": 15, "x": 3, "y": 5, "width": 3, "height": 5}.items():
        np.testing.assert_array_equal(found[name], expected[name] * factor)
    for kind in ("overlays", "masks"):
        sizes = {each.shape[:2] for each in pictures(here / "out.heat_maps", kind).values()}
        assert sizes == {(40, 24)}


def test_memory_does_not_grow_with_the_number_of_images(here, damaged, monkeypatch):
    monkeypatch.setattr("hourglass.data.readers.numpy_files.CHUNK_BYTES", 64 * 40)
    peaks = []
    for repeats in (2, 2, 20):
        file = write_npz(np.tile(damaged, (repeats, 1, 1, 1)), here)
        tracemalloc.start()
        score(*IMAGES, file, here / "out.csv", heat_maps=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 2e6


def test_the_table_of_defects_does_not_overwrite_the_input(here, damaged, refusal):
    source = write_npz(damaged, here).rename(here / "out-defects.csv")
    assert "would overwrite" in refusal(score, *IMAGES, source, here / "out.csv")
