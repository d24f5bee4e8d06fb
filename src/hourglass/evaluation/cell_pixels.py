"""Pixel-level results of a cell, if the defective pixels of its test split are known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hourglass.core.atomic import scratch_folder
from hourglass.data.prepared_data import Samples
from hourglass.data.scaling import TiledScaling
from hourglass.detection.defects import label_defects
from hourglass.detection.detector import Detector
from hourglass.detection.map_images import write_maps
from hourglass.detection.pixel_threshold import PixelAlarms
from hourglass.evaluation.figures.defects import MappedImage, defects
from hourglass.evaluation.figures.samples import shrunk
from hourglass.evaluation.metrics.pixels import PixelRanks


@dataclass(frozen=True)
class PixelResults:
    """Metrics of all test images, metrics by class, and the figure of the worst images."""

    metrics: dict[str, float]
    by_class: pd.DataFrame | None = None
    figure: Figure | None = None


def measure_pixels(folder: Path, detector: Detector, test: Samples) -> PixelResults:
    """Return the pixel-level results of the test split; nothing if no defective pixel is known.

    The maps lie in a file in `folder` for the time being: in memory are a batch of images, and
    what `PixelRanks` needs.
    """
    if test.mask is None or not test.mask.any():
        return PixelResults({})
    alarms, scoring = detector.pixel_alarms, detector.scoring
    with scratch_folder(folder / ".maps") as scratch:
        maps = write_maps(
            scoring.network, test.x, scoring.scaling, alarms.maps, scratch / "maps.raw"
        )
        ranks = PixelRanks.of(maps, test.mask, test.anomaly)
        metrics = {**ranks.metrics(), **_at_threshold(maps, test, alarms, ranks)}
        worst = _worst(ranks, test)
        drawn = [_mapped(detector, test, maps, i, title) for title, i in worst.items()]
        figure = defects(drawn) if drawn else None
    return PixelResults(metrics, _by_class(ranks, test, alarms), figure)


def _at_threshold(
    maps: np.ndarray, test: Samples, alarms: PixelAlarms, ranks: PixelRanks
) -> dict[str, float]:
    """Return false-alarm rates of pixels and of images, and the recall of pixels and defects."""
    if alarms.threshold is None:
        return {}
    assert test.mask is not None
    threshold = alarms.threshold.value
    normal = [i for i in np.flatnonzero(~test.anomaly) if not test.mask[i].any()]
    if not normal:
        return ranks.recall(threshold)
    pixels, images, area = 0, 0, 0
    for i in normal:
        labels, count = label_defects(maps[i], threshold, alarms.min_area)
        pixels += int(np.count_nonzero(labels))
        images += count > 0
        area += int(np.count_nonzero(~np.isnan(maps[i])))  # NaN is the padding of an image
    return {
        "pixel_false_alarm_rate": pixels / area,
        "defect_false_alarm_rate": images / len(normal),
        **ranks.recall(threshold),
    }


def _by_class(ranks: PixelRanks, test: Samples, alarms: PixelAlarms) -> pd.DataFrame:
    """Return the metrics of the defective pixels of each anomalous class."""
    rows = []
    for name in np.unique(test.label[test.anomaly]):
        of_class = ranks.of_images(test.anomaly & (test.label == name))
        values = of_class.metrics()
        if values and alarms.threshold is not None:
            values["defect_recall"] = of_class.recall(alarms.threshold.value)["defect_recall"]
        rows.append({"label": name, "anomaly": True, **values})
    return pd.DataFrame(rows)


def _worst(ranks: PixelRanks, test: Samples) -> dict[str, int]:
    """Return the image of each class whose defects stand out the least, the worst class first."""
    separation = ranks.separation()
    worst: dict[str, int] = {}
    for i in sorted(separation, key=lambda image: separation[image]):
        worst.setdefault(str(test.label[i]), i)
    return worst


def _mapped(detector: Detector, test: Samples, maps: np.ndarray, i: int, title: str) -> MappedImage:
    alarms, found = detector.pixel_alarms, None
    assert test.mask is not None
    if alarms.threshold is not None:
        found = label_defects(maps[i], alarms.threshold.value, alarms.min_area)[0] > 0
    scaling, x = detector.scoring.scaling, np.asarray(test.x[i : i + 1])
    height, width = x.shape[2:]
    if isinstance(scaling, TiledScaling):  # draw no padding
        height, width = scaling.tiling.sizes(x)[0]
    inside = (slice(height), slice(width))
    image = scaling(shrunk(x[:, :, *inside]))[0]
    found = None if found is None else _shrunk(found[inside])
    heat, truth = (_shrunk(np.asarray(array[i])[inside]) for array in (maps, test.mask))
    return MappedImage(title, image, heat, truth, found)


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """Return a map or mask, (H, W), in the size of a drawn image; small regions stay."""
    return shrunk(picture[None, None], np.max)[0, 0]
