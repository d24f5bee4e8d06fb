"""How far samples or codes are from the nearest of others: why drawing uniformly fails."""

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
NAMES = [f"q{round(100 * each):02d}" for each in QUANTILES]
IDLE = 0.01  # of the largest variance: a unit below it codes nothing (Burda et al. 2016)


def nearest(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the distance of each row to the nearest row of a reference: (N, D), (M, D) -> (N,).

    A copy has the distance 0 to the bit: the distance of the row that was found is computed anew,
    from differences.
    """
    found = NearestNeighbors(n_neighbors=1).fit(reference)
    place = found.kneighbors(x, return_distance=False)[:, 0]
    away = x.astype(np.float64) - reference[place]
    return np.sqrt(np.square(away).sum(1))


def code_distances(codes: dict[str, np.ndarray], reference: np.ndarray) -> dict[str, np.ndarray]:
    """Return the distance of codes (N, latent_dim) to the nearest of a reference: (N,) each.

    In units of the reference's standard deviation, unit by unit. Idle units, whose variance is
    less than a hundredth of the largest, are left out: in their own spread anything is far away.
    """
    variance = reference.var(0, dtype=np.float64)
    kept = variance >= IDLE * variance.max()
    scale = np.sqrt(variance[kept]).astype(np.float32) if variance.any() else np.float32(1)
    standard = reference[:, kept] / scale
    return {name: nearest(each[:, kept] / scale, standard) for name, each in codes.items()}


def summary(distances: dict[str, np.ndarray], real: str = "real") -> pd.DataFrame:
    """Return a row a source: quantiles of its distances, and the share far out.

    `share_far` is that of the distances above the 99 % quantile of the source `real`.
    """
    limit = np.quantile(distances[real], QUANTILES[-1])
    rows = []
    for source, each in distances.items():
        quantiles = dict(zip(NAMES, np.quantile(each, QUANTILES), strict=True))
        rows.append({"source": source, **quantiles, "share_far": float((each > limit).mean())})
    return pd.DataFrame(rows)
