"""Feature absorption: other units that take over a class where the units of the class are silent.

Chanin et al. 2024, "A is for Absorption"; the fraction is that of SAEBench (Karvonen et al. 2025).
There a class is the first letter of a word; here it is any label of samples.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from hourglass.studies.sparse_codes.probing import mean_differences, probe

# Settings of SAEBench.
F1_GAIN = 0.03  # that a further unit must bring to count as a main unit
MAX_MAIN_UNITS = 10
MIN_SHARE = 0.4  # of the input's projection that absorbing units must contribute
MAX_ABSORBING_UNITS = 3
MIN_COSINE = 0.1  # of an absorbing unit's decoder row and the direction of the class
MIN_COSINE_FULL = 0.025  # the same, for full absorption by one unit


@dataclass(frozen=True)
class Absorption:
    """The absorption of one class, averaged over test samples that the linear probe finds."""

    main_units: np.ndarray
    fraction: float  # of the projection on the class that other units contribute instead
    full: float  # share of samples on which one other unit replaces all main units
    samples: int
    probe_recall: float  # share of the class that the linear probe finds


def class_direction(x: np.ndarray, is_class: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a linear probe of a class: its unit vector, (D,), and the value it must exceed.

    It is logistic regression on the inputs, (n, D), with class and others of the same weight, after
    division by one number, their root mean squared deviation from the mean.
    """
    mean = x.mean(0, dtype=np.float64)
    centred = x - mean.astype(np.float32)
    scale = float(np.sqrt(np.square(centred, dtype=np.float64).mean())) or 1.0
    model = LogisticRegression(class_weight="balanced", tol=1e-3, max_iter=1000)
    model.fit(centred / np.float32(scale), is_class)
    weight = model.coef_[0].astype(np.float64)
    norm = float(np.linalg.norm(weight)) or 1.0
    # weight @ (x - mean) / scale + intercept > 0
    return weight / norm, float(mean @ weight / norm - model.intercept_[0] * scale / norm)


def main_units(codes: csr_matrix, is_class: np.ndarray) -> np.ndarray:
    """Return the units that usually represent a class; none if no unit has a larger mean there.

    Units are added in the order of their mean in the class minus that in the others as long as each
    raises the F1 of a probe on the units so far by 0.03: a feature may be split over units.
    SAEBench orders them by the weights of a probe with an L1 penalty.
    """
    difference = mean_differences(codes, is_class)
    order = np.argsort(-difference, kind="stable")[: min(MAX_MAIN_UNITS, (difference > 0).sum())]
    best, count = -np.inf, 0
    for k in range(1, len(order) + 1):
        f1 = probe(codes, is_class, codes, is_class, order[:k]).f1
        if f1 <= best + F1_GAIN:
            break
        best, count = f1, k
    return order[:count]


def sample_absorption(
    projection: float, contributions: np.ndarray, cosines: np.ndarray, is_main: np.ndarray
) -> tuple[float, bool]:
    """Return the absorption fraction of a sample, and whether it is full absorption by one unit.

    `projection` is that of the input, without the decoder's bias, on the direction of the class.
    Of the active units, (k,): contributions to that projection, z_j (d_j . p) with decoder row d_j
    and direction p; cosines of d_j and p; and whether they are main units.

    A: the sum of the three largest positive contributions of other units with a cosine of at least
    0.1. M: the sum of the contributions of main units. The fraction is 0 if M reaches the
    projection, or if A is less than 0.4 of it; 1 if M <= 0; otherwise B / (B + M) with
    B = min(A, projection - M).
    """
    if projection <= 0:
        return 0.0, False
    main = float(contributions[is_main].sum())
    other = np.where(is_main, 0, contributions)
    absorbing = np.sort(other[(cosines >= MIN_COSINE) & (other > 0)])[-MAX_ABSORBING_UNITS:].sum()
    full = False
    if not is_main.any() and len(other):
        top = int(np.argmax(other))
        full = bool(cosines[top] >= MIN_COSINE_FULL and other[top] >= MIN_SHARE * projection)
    if main >= projection or absorbing < MIN_SHARE * projection:
        return 0.0, full
    if main <= 0:
        return 1.0, full
    taken = min(float(absorbing), projection - main)
    return taken / (taken + main), full


def class_absorption(
    direction: tuple[np.ndarray, float],
    units: np.ndarray,
    x: np.ndarray,
    codes: csr_matrix,
    w_dec: np.ndarray,
    b_dec: np.ndarray,
) -> Absorption:
    """Return the absorption of a class on its samples, (n, D), with codes, (n, latent_dim).

    Samples that the linear probe `direction` does not assign to the class are left out.
    """
    vector, limit = direction
    found = x @ vector > limit
    per_unit = w_dec @ vector  # (latent_dim,)
    norms = np.linalg.norm(w_dec, axis=1)
    cosines = np.divide(per_unit, norms, np.zeros_like(per_unit), where=norms > 0)
    projections = (x[found] - b_dec) @ vector
    results = []
    for projection, row in zip(projections, codes[found], strict=True):
        active = row.indices
        contributions = row.data * per_unit[active]
        results.append(
            sample_absorption(
                float(projection), contributions, cosines[active], np.isin(active, units)
            )
        )
    fractions, full = zip(*results, strict=True) if results else ((np.nan,), (np.nan,))
    return Absorption(
        units, float(np.mean(fractions)), float(np.mean(full)), len(results), float(found.mean())
    )
