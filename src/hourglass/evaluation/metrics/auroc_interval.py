"""Intervals of AUROC, and the number of samples that any interval of a ranking needs."""

import math

import numpy as np

from hourglass.evaluation.metrics import bootstrap

# With fewer anomalies, or fewer normal samples, 95 % intervals cover the true value in less than
# nine of ten cases.
MIN_SAMPLES_FOR_INTERVAL = 10
Z_95 = 1.96  # two-sided 5 % point of the normal distribution


def too_few_samples(normal: float, anomalies: float) -> str:
    """Return why there is no interval, such as "too few anomalies (1)"; "" if there is one."""
    for name, count in (("anomalies", anomalies), ("normal samples", normal)):
        if count < MIN_SAMPLES_FOR_INTERVAL:
            return f"too few {name} ({count:.0f})"
    return ""


def why_no_interval(anomalies: float, prevalence: float) -> str:
    """Return the text of `too_few_samples` for the metrics of these names."""
    return too_few_samples(round(anomalies / prevalence) - anomalies, anomalies)


def auroc_interval(
    auroc: float, resampled: np.ndarray, normal: int, anomalies: int
) -> tuple[float, float]:
    """Return a 95 % interval of AUROC from its value and its values per resample, (R,).

    Each end is the outer one of the bootstrap and of Newcombe's method. The bootstrap is too
    narrow for few anomalies and has no width if all anomalies score highest. Newcombe's method
    assumes that the scores of the anomalies are spread like those of the normal samples.
    """
    low, high = bootstrap.interval(resampled, min(normal, anomalies))
    lower, upper = newcombe(auroc, normal, anomalies)
    return min(low, lower), max(high, upper)


def newcombe(auroc: float, normal: int, anomalies: int) -> tuple[float, float]:
    """Return Newcombe's 95 % interval of AUROC (2006, part 2, method 5).

    Its ends are the values from which `auroc` lies 1.96 standard errors away. The standard error
    is that of Hanley and McNeil (1982) with the mean of the two numbers of samples.
    """
    from scipy.optimize import brentq

    mean, pairs = (normal + anomalies) / 2 - 1, normal * anomalies

    def excess(value: float) -> float:
        spread = 1 + mean * ((1 - value) / (2 - value) + value / (1 + value))
        return abs(auroc - value) - Z_95 * math.sqrt(value * (1 - value) * spread / pairs)

    # The standard error is 0 at 0 and at 1, where the search must not end.
    inside = min(max(auroc, 1e-12), 1 - 1e-12)
    return (
        float(brentq(excess, 0, inside)) if auroc > 0 else 0.0,
        float(brentq(excess, inside, 1)) if auroc < 1 else 1.0,
    )
