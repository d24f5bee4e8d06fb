"""Pixel-level metrics against scikit-learn and against the papers' definitions, written naively."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.evaluation.metrics import pixels
from hourglass.evaluation.metrics.aupimo import aupimo_by_image
from hourglass.evaluation.metrics.aupro import aupro
from hourglass.evaluation.metrics.pixels import PixelRanks

SEEDS = pytest.mark.parametrize("seed", range(3))
TIES = pytest.mark.parametrize("decimals", [None, 1], ids=["distinct", "ties"])


def images(
    seed: int, decimals: int | None = None, side: int = 24, count: int = 12
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return maps, masks and labels; the first half of the images is normal, the last unmarked."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(count, side, side))
    mask = gaussian_filter(rng.normal(size=noise.shape), (0, 2, 2)) > 0.2
    anomaly = np.arange(count) >= count // 2
    mask &= anomaly[:, None, None]
    mask[-1] = False
    maps = gaussian_filter(noise, (0, 1, 1)) + 0.3 * mask
    maps = maps if decimals is None else maps.round(decimals)
    return maps.astype(np.float32), mask, anomaly


def patches() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 20 maps of 96 x 96 without a generator, whose stream may change."""
    image, row, column = np.ogrid[:20, :96, :96]
    mask = np.sin(row / 9 + image) * np.sin(column / 11 + 2 * image) > 0.75
    mask &= image >= 10
    noise = (row * 7919 + column * 104729 + image * 1299709) * 48271 % 2147483647 / 2147483647
    return (5 * mask - np.log1p(-noise)).astype(np.float32), mask, np.arange(20) >= 10


def curve(maps: np.ndarray, mask: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return false-positive rate and mean overlap of regions at every threshold, descending."""
    regions = []
    for i in np.flatnonzero(known):
        labels, count = label(mask[i], np.ones((3, 3)))
        regions += [maps[i][labels == k] for k in range(1, count + 1)]
    normal = maps[known][~mask[known]]
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(maps[known])[::-1]:
        rates.append((normal >= threshold).mean())
        overlaps.append(np.mean([(region >= threshold).mean() for region in regions]))
    return np.array(rates), np.array(overlaps)


def naive_aupro(rates: np.ndarray, overlaps: np.ndarray, limit: float) -> float:
    """Return the area up to the limit, where the curve is cut by linear interpolation."""
    cut = np.interp(limit, rates, overlaps)
    inside = rates < limit
    # The last overlap at the limit itself would be a jump beyond the limit.
    return np.trapezoid(np.append(overlaps[inside], cut), np.append(rates[inside], limit)) / limit


@TIES
@SEEDS
def test_auroc_and_average_precision_are_those_of_scikit_learn(seed, decimals):
    maps, mask, anomaly = images(seed, decimals)
    known = ~anomaly | mask.any((1, 2))
    found = PixelRanks.of(maps, mask, anomaly).metrics()
    flat = mask[known].ravel(), maps[known].ravel()
    assert found["pixel_AUROC"] == pytest.approx(roc_auc_score(*flat), abs=1e-9)
    assert found["pixel_AP"] == pytest.approx(average_precision_score(*flat), abs=1e-9)


@TIES
@SEEDS
@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_is_the_area_under_the_curve_of_all_thresholds(seed, decimals, limit):
    maps, mask, anomaly = images(seed, decimals)
    known = ~anomaly | mask.any((1, 2))
    ranks = PixelRanks.of(maps, mask, anomaly)
    found = aupro(ranks.above, ranks.at_least, ranks.normal, ranks.region, limit)
    assert found == pytest.approx(naive_aupro(*curve(maps, mask, known), limit), abs=1e-9)


@TIES
@SEEDS
def test_aupimo_is_the_mean_recall_over_the_logarithm_of_the_rate(seed, decimals):
    limits = (2e-3, 0.2)
    maps, mask, anomaly = images(seed, decimals)
    ranks = PixelRanks.of(maps, mask, anomaly)
    found = aupimo_by_image(ranks.at_least_good, ranks.good, ranks.image, limits)
    normal = maps[~anomaly]
    thresholds = np.unique(maps)[::-1]
    rates = np.array([(normal >= threshold).mean() for threshold in thresholds])
    assert list(found) == np.flatnonzero(mask.any((1, 2))).tolist()
    for i, value in found.items():
        recalls = np.array([(maps[i][mask[i]] >= threshold).mean() for threshold in thresholds])
        bounds = np.unique(np.clip(np.append(rates, limits), *limits))
        reached = [recalls[rates <= low].max(initial=0) for low in bounds[:-1]]
        area = np.diff(np.log(bounds)) @ reached / np.log(limits[1] / limits[0])
        assert value == pytest.approx(area, abs=1e-9)


# anomalib 2.7.0: _AUPRO(fpr_limit=0.3), and aupimo_scores with 1,000,000 thresholds between the
# rates that 2 and 19 of the 92,160 normal pixels have, as it moves limits to such rates.
ANOMALIB = {"AUPRO": 0.9883729219436646, "AUPIMO": 0.010156795876261268}


def test_aupro_and_aupimo_are_those_of_anomalib():
    ranks = PixelRanks.of(*patches())
    assert ranks.metrics()["AUPRO"] == pytest.approx(ANOMALIB["AUPRO"], abs=1e-6)
    limits = (2 / ranks.good, 19 / ranks.good)
    by_image = aupimo_by_image(ranks.at_least_good, ranks.good, ranks.image, limits)
    assert np.mean(list(by_image.values())) == pytest.approx(ANOMALIB["AUPIMO"], abs=1e-6)


def test_aupro_is_one_for_a_perfect_map_and_never_above():
    _, mask, anomaly = images(0)
    ranks = PixelRanks.of(mask.astype(np.float32), mask, anomaly)
    assert ranks.metrics()["AUPRO"] == 1
    assert ranks.metrics()["pixel_AUROC"] == 1


def test_a_constant_map_is_as_good_as_chance():
    maps, mask, anomaly = images(0)
    found = PixelRanks.of(np.zeros_like(maps), mask, anomaly).metrics()
    known = ~anomaly | mask.any((1, 2))
    assert found["pixel_AUROC"] == 0.5
    assert found["AUPRO"] == pytest.approx(0.15)  # the line up to the limit 0.3
    assert found["pixel_AP"] == pytest.approx(mask[known].mean())


def test_small_and_large_regions_count_the_same_in_aupro():
    maps, mask = np.zeros((1, 16, 16), np.float32), np.zeros((1, 16, 16), bool)
    mask[0, :8], mask[0, 12, 12] = True, True
    maps[0, 12, 12] = 1  # only the small region is found
    found = PixelRanks.of(maps, mask, np.ones(1, bool))
    assert aupro(found.above, found.at_least, found.normal, found.region) > 0.5


def test_pixels_that_touch_at_a_corner_are_one_region():
    mask = np.eye(8, dtype=bool)[None]
    ranks = PixelRanks.of(mask.astype(np.float32), mask, np.ones(1, bool))
    assert set(ranks.region) == {0}


def test_metrics_of_mapped_files_in_blocks_are_the_same(tmp_path, monkeypatch):
    maps, mask, anomaly = images(0)
    expected = PixelRanks.of(maps, mask, anomaly).metrics()
    np.save(tmp_path / "maps.npy", maps)
    monkeypatch.setattr(pixels, "BLOCK_PIXELS", 1000)
    assert PixelRanks.of(np.load(tmp_path / "maps.npy", "r"), mask, anomaly).metrics() == expected


def test_the_pixels_of_one_class_are_compared_with_all_normal_ones():
    maps, mask, anomaly = images(0)
    chosen = np.arange(len(maps)) == 7
    found = PixelRanks.of(maps, mask, anomaly).of_images(chosen).metrics()
    known = ~anomaly | mask.any((1, 2))
    normal = maps[known][~mask[known]]
    scores = np.concatenate([normal, maps[7][mask[7]]])
    labels = np.arange(len(scores)) >= len(normal)
    assert found["pixel_AUROC"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert found["pixel_AP"] == pytest.approx(average_precision_score(labels, scores), abs=1e-9)


def test_without_marked_defects_there_are_no_metrics():
    maps, mask, anomaly = images(0)
    assert PixelRanks.of(maps, np.zeros_like(mask), anomaly).metrics() == {}


def test_aupimo_needs_enough_normal_pixels_for_its_lower_limit():
    maps, mask, anomaly = images(0)
    assert "AUPIMO" not in PixelRanks.of(maps, mask, anomaly).metrics()


def test_recall_counts_pixels_and_touched_regions():
    maps, mask = np.zeros((1, 9, 9), np.float32), np.zeros((1, 9, 9), bool)
    mask[0, 1, 1:4], mask[0, 7, 7] = True, True
    maps[0, 1, 1] = 2
    found = PixelRanks.of(maps, mask, np.ones(1, bool)).recall(1.0)
    assert found == {"pixel_recall": 0.25, "defect_recall": 0.5}
