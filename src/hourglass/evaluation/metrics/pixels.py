"""Pixel-level metrics of anomaly maps: pixel AUROC, pixel AP, AUPRO and AUPIMO.

All follow from one statistic of each defective pixel: the number of normal pixels with a score as
high. It is exact, so no metric depends on a choice of thresholds. Maps may lie in a file, as they
are read in blocks: memory holds BLOCK_PIXELS pixels twice and 36 bytes per defective pixel.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hourglass.data.streaming import release_pages
from hourglass.detection.defects import NEIGHBOURS
from hourglass.evaluation.metrics.aupimo import aupimo_by_image, has_aupimo
from hourglass.evaluation.metrics.aupro import aupro

BLOCK_PIXELS = 1 << 22


@dataclass(frozen=True)
class PixelRanks:
    """The defective pixels of labelled images, and how many normal pixels score as high."""

    image: np.ndarray  # (D,) int32: number of the image of each defective pixel
    region: np.ndarray  # (D,) int32: number of its connected region over all images
    score: np.ndarray  # (D,) float32
    above: np.ndarray  # (D,) int64: normal pixels with a higher score
    at_least: np.ndarray  # (D,) int64: normal pixels with this score or a higher one
    at_least_good: np.ndarray  # (D,) int64: the same, of normal images only
    normal: int  # number of normal pixels
    good: int  # number of pixels of normal images

    @classmethod
    def of(cls, maps: np.ndarray, mask: np.ndarray, anomaly: np.ndarray) -> "PixelRanks":
        """Rank the pixels of maps, (N, H, W) float32, with masks, (N, H, W), and labels, (N,).

        An anomalous image without a defective pixel in its mask is left out: its defect is not
        marked, so its pixels are neither normal nor defective.
        """
        image, region, score, marked = _defective_pixels(maps, mask)
        distinct, place = np.unique(score, return_inverse=True)
        good = np.flatnonzero(~anomaly & ~marked)
        of_good = _count_normal(_normal_pixels(maps, mask, good), distinct)
        of_rest = _count_normal(_normal_pixels(maps, mask, np.flatnonzero(marked)), distinct)
        above, at_least = (a + b for a, b in zip(of_good[:2], of_rest[:2], strict=True))
        return cls(
            image=image,
            region=region,
            score=score,
            above=above[place],
            at_least=at_least[place],
            at_least_good=of_good[1][place],
            normal=of_good[2] + of_rest[2],
            good=of_good[2],
        )

    def of_images(self, chosen: np.ndarray) -> "PixelRanks":
        """Return the defective pixels of the chosen images, (N,) bool, against all normal ones."""
        rows = chosen[self.image]
        names = ("image", "region", "score", "above", "at_least", "at_least_good")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def metrics(self) -> dict[str, float]:
        """Return pixel_AUROC, pixel_AP, AUPRO and AUPIMO; {} without defective or normal pixels.

        AUPIMO needs MIN_PIXELS pixels of normal images, see `has_aupimo`.
        """
        if not len(self.score) or not self.normal:
            return {}
        values = {
            "pixel_AUROC": self._auroc(),
            "pixel_AP": self._average_precision(),
            "AUPRO": aupro(self.above, self.at_least, self.normal, self.region),
        }
        if has_aupimo(self.good):
            by_image = aupimo_by_image(self.at_least_good, self.good, self.image)
            values["AUPIMO"] = float(np.mean(list(by_image.values())))
        return values

    def _auroc(self) -> float:
        return 1 - float((self.above + self.at_least).mean()) / 2 / self.normal

    def _average_precision(self) -> float:
        """Return the mean precision at the scores of the defective pixels."""
        order = np.argsort(self.score)
        found = len(order) - np.searchsorted(self.score[order], self.score, "left")
        return float((found / (found + self.at_least)).mean())

    def recall(self, threshold: float) -> dict[str, float]:
        """Return the shares of defective pixels and of regions with one above a threshold."""
        alarm = self.score > threshold
        regions, touched = np.unique(self.region), np.unique(self.region[alarm])
        return {
            "pixel_recall": float(alarm.mean()),
            "defect_recall": len(touched) / len(regions),
        }

    def separation(self) -> dict[int, float]:
        """Return the AUROC of the defective pixels of each image, by number of the image."""
        images, place = np.unique(self.image, return_inverse=True)
        ranks = np.bincount(place, self.above + self.at_least) / np.bincount(place)
        aurocs = 1 - ranks / 2 / max(self.normal, 1)
        return dict(zip(images.tolist(), aurocs.tolist(), strict=True))


def _defective_pixels(
    maps: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return image, region and score of each defective pixel, (D,), and which images have any."""
    from scipy.ndimage import label

    images, regions, scores = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0, "f4")]
    marked, first = np.zeros(len(mask), bool), 0
    for i, defective in enumerate(mask):
        if not defective.any():
            continue
        marked[i] = True
        labels, count = label(defective, NEIGHBOURS)
        scores.append(np.asarray(maps[i])[defective])
        regions.append(labels[defective] + np.int32(first - 1))
        images.append(np.full(len(scores[-1]), i, np.int32))
        first += count
        for array in (maps, mask):
            release_pages(array)
    return *map(np.concatenate, (images, regions, scores)), marked  # type: ignore[return-value]


def _normal_pixels(maps: np.ndarray, mask: np.ndarray, images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the scores of the normal pixels of images, in blocks of at most BLOCK_PIXELS."""
    step = max(1, BLOCK_PIXELS // max(1, maps[0].size if len(maps) else 1))
    for start in range(0, len(images), step):
        rows = images[start : start + step]
        yield np.asarray(maps[rows])[~np.asarray(mask[rows])]
        for array in (maps, mask):
            release_pages(array)


def _count_normal(
    blocks: Iterator[np.ndarray], distinct: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Count the pixels above each of the sorted scores, those at least as high, and all."""
    above, at_least = np.zeros(len(distinct), np.int64), np.zeros(len(distinct), np.int64)
    total = 0
    for block in blocks:
        block.sort()
        block = block[: np.searchsorted(block, np.nan)]  # without the padding of images
        total += len(block)
        above += len(block) - np.searchsorted(block, distinct, "right")
        at_least += len(block) - np.searchsorted(block, distinct, "left")
    return above, at_least, total
