"""Defects against the regions of scikit-image, and their table."""

from dataclasses import astuple

import numpy as np
import pyarrow as pa
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import label, regionprops

from hourglass.detection.defect_table import DefectTable
from hourglass.detection.defects import defect_frame, defects_of_map, label_defects
from tests.cli.files import read_table

THRESHOLD = 0.15


def smooth_map(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(40, 30))
    return gaussian_filter(noise, 1.5).astype(np.float32)


@pytest.mark.parametrize("min_area", [1, 6])
@pytest.mark.parametrize("seed", range(3))
def test_defects_are_the_regions_of_scikit_image(seed, min_area):
    values = smooth_map(seed)
    regions = regionprops(label(values > THRESHOLD, connectivity=2), values.astype(np.float64))
    expected = []
    for each in regions:
        top, left, bottom, right = each.bbox
        box = (left, top, right - left, bottom - top)
        expected.append((each.area, *box, each.intensity_max, each.intensity_mean))
    expected = [region for region in expected if region[0] >= min_area]
    expected.sort(key=lambda region: -region[5])
    found = defects_of_map(values, THRESHOLD, min_area)
    assert [each.number for each in found] == list(range(1, len(expected) + 1))
    assert len(found) > 2
    np.testing.assert_allclose([astuple(each)[1:] for each in found], expected, rtol=1e-9)


def test_small_regions_are_not_marked():
    values = smooth_map()
    labels, count = label_defects(values, THRESHOLD, 6)
    assert sorted(set(labels.ravel())) == list(range(count + 1))
    assert np.bincount(labels.ravel())[1:].min() >= 6


def test_a_map_at_the_threshold_has_no_defect():
    assert defects_of_map(np.full((4, 4), THRESHOLD), THRESHOLD) == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_table_of_a_file_is_that_in_memory(tmp_path, suffix):
    defects = [defects_of_map(smooth_map(seed), THRESHOLD) for seed in range(3)]
    defects.insert(1, [])
    table = DefectTable(tmp_path / f"defects{suffix}")
    table.add(pa.array(["a", "b"]), defects[:2])
    table.add(pa.array(["c", "d"]), defects[2:])
    table.close()
    written, expected = read_table(table.path), defect_frame(defects)
    assert written.id.tolist() == ["abcd"[image] for image in expected.image]
    np.testing.assert_allclose(
        written.drop(columns="id").to_numpy(), expected.drop(columns="image").to_numpy()
    )
    assert (table.defects, table.images) == (len(expected), 3)


def test_without_defects_there_is_a_table_without_rows(tmp_path):
    table = DefectTable(tmp_path / "defects.csv")
    table.add(pa.array(["a"]), [[]])
    table.close()
    assert list(read_table(table.path)) == ["id", *defect_frame([]).columns[1:]]
