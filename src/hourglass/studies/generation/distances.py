"""Distances of generated samples or codes from real ones: Frechet and nearest neighbour."""

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from hourglass.studies.generation.samplers import Gaussian

QUANTILES = {"q01": 0.01, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q99": 0.99}
INACTIVE_VARIANCE = 0.01  # relative to the largest; units below are inactive (Burda et al. 2016)


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the squared Frechet distance of two sets of features, (N, D) and (M, D).

    It is |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) for means m and covariances C (Heusel et al.
    2017, equation 6). With C = A^T A, the trace of the root is the sum of the singular values of
    A1 A2^T, so no matrix root is needed, and there may be fewer samples than features. The distance
    of two samples from one distribution is above 0 and falls with their size, so compare sets of
    equal size only. A set needs at least two samples.
    """
    one, other = Gaussian.fit(first), Gaussian.fit(second)
    common = np.linalg.svd(one.root @ other.root.T, compute_uv=False).sum()
    spread = np.square(one.root).sum() + np.square(other.root).sum() - 2 * common
    # Rounding may give slightly negative values for equal sets.
    return float(np.square(one.mean - other.mean).sum() + max(spread, 0.0))


def nearest_distance(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the distance of each row to the nearest reference row: (N, D), (M, D) -> (N,).

    An exact copy has distance 0, as the distance is computed from the difference of the rows.
    """
    index = NearestNeighbors(n_neighbors=1).fit(reference)
    nearest = index.kneighbors(x, return_distance=False)[:, 0]
    difference = x.astype(np.float64) - reference[nearest]
    return np.sqrt(np.square(difference).sum(1))


def code_distances(codes: dict[str, np.ndarray], reference: np.ndarray) -> dict[str, np.ndarray]:
    """Return distances of codes (N, latent_dim) to the nearest reference code: (N,) per source.

    Units are divided by their standard deviation in the reference. Inactive units, with a variance
    of less than 1 % of the largest, are left out, as division would amplify their noise.
    """
    variance = reference.var(0, dtype=np.float64)
    active = variance >= INACTIVE_VARIANCE * variance.max()
    scale = np.sqrt(variance[active]).astype(np.float32) if variance.any() else np.float32(1)
    scaled = reference[:, active] / scale
    return {name: nearest_distance(z[:, active] / scale, scaled) for name, z in codes.items()}


def summarise_distances(distances: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return one row per source: quantiles of its distances, and `share_far`.

    `share_far` is the share of distances above the 99 % quantile of the source `real`.
    """
    far, rows = np.quantile(distances["real"], QUANTILES["q99"]), []
    for source, values in distances.items():
        quantiles = {name: np.quantile(values, share) for name, share in QUANTILES.items()}
        rows.append({"source": source, **quantiles, "share_far": float((values > far).mean())})
    return pd.DataFrame(rows)
