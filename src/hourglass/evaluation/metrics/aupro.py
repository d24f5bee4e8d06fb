"""AUPRO: the area under the per-region overlap curve (Bergmann et al. 2021)."""

import numpy as np

MAX_FPR = 0.3  # limit of the false-positive rate


def aupro(
    above: np.ndarray,
    at_least: np.ndarray,
    normal: int,
    region: np.ndarray,
    max_fpr: float = MAX_FPR,
) -> float:
    """Return the mean recall of regions, over false-positive rates of pixels up to `max_fpr`.

    `above` and `at_least` are the numbers of the `normal` pixels with a score above that of each
    defective pixel, (D,), and of those at least as high; `region` is the number of its region.
    Every region counts the same, however large it is. The area is divided by `max_fpr`, so it is
    between 0 and 1.

    A defective pixel adds 1 / (pixels of its region x regions) to the overlap, from the rate
    `above / normal` on. Where normal pixels have the same score, the curve is a straight line up to
    `at_least / normal`. The area is the sum of these steps and lines, so it is exact.
    """
    _, place, size = np.unique(region, return_inverse=True, return_counts=True)
    weight = 1 / (size[place] * len(size))
    start, end = above / normal, at_least / normal
    reached = np.clip(max_fpr - start, 0, None)
    width = end - start
    cut = np.minimum(width, reached)
    area = reached - cut + cut**2 / (2 * np.where(width > 0, width, 1))
    return float(min(1.0, (weight * area).sum() / max_fpr))
