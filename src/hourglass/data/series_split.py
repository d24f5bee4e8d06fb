"""Division of the rows of series into the five splits, by time or by entity."""

from dataclasses import asdict
from typing import Literal, TypeAlias

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.base import Fractions
from hourglass.data.prepared_data import SPLITS, Split

SplitBy: TypeAlias = Literal["time", "entity"]
NORMAL_ONLY: tuple[Split, ...] = ("train", "validation", "calibration")


def split_series(
    time: np.ndarray,
    entity: np.ndarray | None,
    anomaly: np.ndarray,
    fractions: Fractions,
    gap: float,
    by: SplitBy,
) -> dict[Split, np.ndarray]:
    """Return the sorted indices of the rows of each split.

    The fractions are those of the normal rows. By time, the splits follow each other, and a split
    begins `gap` after the end of the one before, in units of time, so that no window of one split
    sees a row of another. By entity, a split holds whole entities, in order of their first rows.
    Anomalous rows are left out of train, validation and calibration. Raises a UserError if a split
    would hold no row, or if no row is normal.
    """
    shares = asdict(fractions)
    cumulative = np.cumsum([shares[name] for name in SPLITS])
    if not np.isclose(cumulative[-1], 1) or min(shares[name] for name in SPLITS) < 0:
        raise UserError(f"fractions are {shares}, but must be 0 or more and sum to 1.")
    if anomaly.all():
        raise UserError(
            f"all {len(time):,} rows of the series are anomalous, so none is left to train on; "
            "correct `intervals`, or `label` and `normal`."
        )
    if by == "time":
        place = _places_in_time(time, anomaly, cumulative[:-1], gap)
    else:
        assert entity is not None
        place = _places_by_entity(entity, anomaly, cumulative[:-1])
    result: dict[Split, np.ndarray] = {}
    for i, name in enumerate(SPLITS):
        rows = place == i
        if name in NORMAL_ONLY:
            rows &= ~anomaly
        result[name] = np.flatnonzero(rows)
        if not len(result[name]):
            raise UserError(
                f"the {name} split would hold none of the {len(time):,} rows of the series; give "
                "more rows, lower `window`, or raise its share in `fractions`."
            )
    return result


def _places_in_time(
    time: np.ndarray, anomaly: np.ndarray, bounds: np.ndarray, gap: float
) -> np.ndarray:
    """Return the number of each row's split, (T,); -1 for a row in a gap."""
    normal = np.sort(time[~anomaly])
    first = normal[np.minimum(np.rint(bounds * len(normal)).astype(int), len(normal) - 1)]
    place = np.searchsorted(first, time, side="right")
    begins = np.concatenate([[-np.inf], first + gap])
    return np.where(time < begins[place], -1, place)


def _places_by_entity(entity: np.ndarray, anomaly: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    _, first, inverse = np.unique(entity, return_index=True, return_inverse=True)
    sizes = np.bincount(inverse, weights=~anomaly)
    order = np.argsort(first)
    before = np.empty(len(order))
    before[order] = np.cumsum(sizes[order]) - sizes[order] / 2  # the middle decides
    return np.searchsorted(bounds * sizes.sum(), before, side="right")[inverse]
