"""AUPIMO: the area under the per-image overlap curve (Bertoldo et al. 2024).

The recall of the defective pixels of one image, averaged over the logarithm of the false-positive
rate between two low limits. The rate is that of the pixels of normal images only, so it says how
often a normal part would raise an alarm.
"""

import numpy as np

FPR_LIMITS = (1e-5, 1e-4)
MIN_PIXELS = round(1 / FPR_LIMITS[0])  # of normal images; with fewer, the lower limit is no rate


def has_aupimo(good: int) -> bool:
    """Return whether so many pixels of normal images resolve the lower limit of the rate."""
    return good >= MIN_PIXELS


def aupimo_by_image(
    at_least_good: np.ndarray,
    good: int,
    image: np.ndarray,
    limits: tuple[float, float] = FPR_LIMITS,
) -> dict[int, float]:
    """Return the AUPIMO of each image, by its number.

    `at_least_good` is, for each defective pixel, (D,), the number of the `good` pixels of normal
    images with its score or a higher one, and `image` the number of its image. A pixel is detected
    at all rates from `at_least_good / good` on, so the integral is a sum over pixels, and exact.
    """
    low, high = np.log(limits)
    with np.errstate(divide="ignore"):
        rate = np.log(at_least_good / good)
    share = np.clip((high - rate) / (high - low), 0, 1)
    images, place = np.unique(image, return_inverse=True)
    means = np.bincount(place, share) / np.bincount(place)
    return dict(zip(images.tolist(), means.tolist(), strict=True))
