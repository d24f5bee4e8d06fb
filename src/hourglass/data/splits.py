"""Division of the samples of a data set into the five splits."""

import dataclasses
import math

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.base import Fractions, Raw
from hourglass.data.copies import find_copies, keep_together
from hourglass.data.large_arrays import new_array, take_rows, true_rows
from hourglass.data.large_order import ranks, stable_order
from hourglass.data.prepared_data import SPLITS, Split


def split(
    raw: Raw, fractions: Fractions, seed: int, copies: np.ndarray | None = None
) -> dict[Split, np.ndarray]:
    """Return the sorted indices of the samples of each split; the splits are disjoint.

    `train`, `validation` and `calibration` hold only normal samples; `tuning` and `test` hold
    normal samples and anomalies.

    If the samples have times and no official test part, the splits follow each other in time, in
    the order train, validation, calibration, tuning, test. Anomalies from before the test period go
    to `tuning`, later ones to `test`; `fractions.tuning_anomalies` is ignored. Otherwise `tuning`
    takes at most as many anomalies as normal samples, and surplus anomalies are in no split.

    Without times, copies of a sample stay in one split, or if the samples have groups, those of a
    group; `copies` is the result of `find_copies` if it is known. Copies in an official test part
    and samples with times stay where they belong.

    Raises a UserError if the fractions do not sum to 1, or if a split would hold no normal sample.
    """
    shares = _shares(fractions, with_test=raw.official_test is None)
    rng = np.random.default_rng(seed)
    if raw.group is not None:
        copies = raw.group
    copies = find_copies(raw.x) if copies is None else copies
    parts = _split_normal(raw, shares, rng, copies)
    tuning, test = _split_anomalies(raw, fractions.tuning_anomalies, parts, rng, copies)
    parts["tuning"] = _joined(parts["tuning"], tuning)
    parts["test"] = _joined(parts["test"], test)
    for indices in parts.values():
        indices.sort()
    return parts


def _joined(normal: np.ndarray, anomalies: np.ndarray) -> np.ndarray:
    joined = new_array((len(normal) + len(anomalies),), normal.dtype)
    return np.concatenate([normal, anomalies], out=joined)


def _shares(fractions: Fractions, with_test: bool) -> dict[Split, float]:
    """Check the fractions of the five splits; return them normalised to sum to 1."""
    values = dataclasses.asdict(fractions)
    tuning_anomalies = values.pop("tuning_anomalies")
    if min(values.values()) < 0 or not math.isclose(sum(values.values()), 1):
        raise UserError(f"fractions are {values}, but must be 0 or more and sum to 1.")
    if not 0 <= tuning_anomalies <= 1:
        raise UserError(f"tuning_anomalies is {tuning_anomalies}, but must be between 0 and 1.")
    if not with_test:
        values["test"] = 0.0
    total = sum(values.values())
    if not total:
        raise UserError(
            f"fractions are {values}, but `test` has no effect, as there is an official test part; "
            "raise the others."
        )
    return {name: values[name] / total for name in SPLITS}


def _split_normal(
    raw: Raw, shares: dict[Split, float], rng: np.random.Generator, copies: np.ndarray
) -> dict[Split, np.ndarray]:
    """Divide the normal samples at random or by time; an official test part is kept as `test`."""
    used = np.logical_not(raw.anomaly, out=new_array(raw.anomaly.shape, bool))
    if raw.official_test is not None:
        used &= ~raw.official_test
    normal = true_rows(used)
    if raw.time is None:
        rng.shuffle(np.asarray(normal))  # faster than a shuffled memmap
        parts = divide(normal, shares, copies)
    else:
        order = stable_order(ranks(take_rows(raw.time, normal)), len(normal))
        parts = divide(take_rows(normal, order), shares)
    if raw.official_test is not None and raw.official_test.any():
        parts["test"] = np.flatnonzero(~raw.anomaly & raw.official_test)
    for name, indices in parts.items():
        if not len(indices):
            raise UserError(
                f"the {name} split would hold none of the {counted(len(normal), 'normal sample')}; "
                "give more samples or raise its share in `fractions`."
            )
    return parts


def divide(
    indices: np.ndarray, shares: dict[Split, float], copies: np.ndarray | None = None
) -> dict[Split, np.ndarray]:
    """Divide indices into consecutive splits, in proportion to shares that sum to 1.

    With `copies`, the result of `find_copies`, copies are moved into one split.
    """
    bounds = np.rint(np.cumsum(list(shares.values()))[:-1] * len(indices)).astype(int)
    if copies is not None:
        indices, bounds = keep_together(indices, copies, bounds)
    return dict(zip(shares, np.split(indices, bounds), strict=True))


def _split_anomalies(
    raw: Raw,
    tuning_fraction: float,
    normal: dict[Split, np.ndarray],
    rng: np.random.Generator,
    copies: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the anomalies of `tuning` and of `test`."""
    limit = len(normal["tuning"])
    if raw.official_test is not None:
        available = rng.permutation(np.flatnonzero(raw.anomaly & ~raw.official_test))
        return available[:limit], np.flatnonzero(raw.anomaly & raw.official_test)
    anomalies = true_rows(raw.anomaly)
    if raw.time is not None:
        start = take_rows(raw.time, normal["test"]).min()
        later = take_rows(raw.time, anomalies) >= start
        return take_rows(anomalies, true_rows(~later)), take_rows(anomalies, true_rows(later))
    rng.shuffle(np.asarray(anomalies))
    bound = np.array([round(tuning_fraction * len(anomalies))])
    anomalies, (count,) = keep_together(anomalies, copies, bound)
    return anomalies[: min(count, limit)], anomalies[count:]
