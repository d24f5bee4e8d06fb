"""Copies: samples with equal values, which must not be in both the train and the test split."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hourglass.data.streaming import release_pages

BYTES_AT_ONCE = 1 << 24


def find_copies(x: np.ndarray) -> np.ndarray:
    """Return a number per sample, (N,), that only copies of it share: (N, *S) -> (N,) int64.

    Samples are compared by a hash of 64 bits.
    """
    hashes = [np.zeros(0, np.int64)]
    step = max(1, BYTES_AT_ONCE // max(1, x[:1].nbytes))
    for start in range(0, len(x), step):
        part = x[start : start + step].reshape(len(x[start : start + step]), -1)
        if part.dtype.kind == "f":
            part = np.where(np.isnan(part), np.nan, part) + 0.0  # one NaN, and no negative zero
        part = np.ascontiguousarray(part)
        rows = part.view(np.dtype((np.void, part.shape[1] * part.itemsize))).ravel()
        hashes.append(np.fromiter(map(hash, rows.tolist()), np.int64, len(rows)))
        release_pages(x)
    return np.unique(np.concatenate(hashes), return_inverse=True)[1]


def keep_together(
    order: np.ndarray, copies: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return samples in an order in which copies follow each other, and bounds between them.

    `order` holds sample numbers, (n,), and `bounds` divides it into parts. Each bound moves to the
    nearest place that separates no copies. A sample with more copies than half of the smallest
    part is too frequent to be kept in one part, so its copies stay where they are. Without copies
    nothing changes.
    """
    sizes = np.diff([0, *bounds, len(order)])
    numbers, counts = np.unique(copies[order], return_counts=True)
    largest = sizes[sizes > 0].min() // 2 if len(order) else 0
    together = numbers[(counts > 1) & (counts <= largest)]
    if not len(together):
        return order, bounds
    # The place of each sample, or of the first of its copies.
    place = np.arange(len(order))
    members = np.flatnonzero(np.isin(copies[order], together))
    _, first, inverse = np.unique(copies[order][members], return_index=True, return_inverse=True)
    place[members] = members[first[inverse]]
    ordered = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[ordered], prepend=-1))
    starts = np.append(starts, len(order))
    after = np.clip(np.searchsorted(starts, bounds), 1, len(starts) - 1)
    before = after - 1
    closer = starts[after] - bounds < bounds - starts[before]
    return order[ordered], np.where(closer, starts[after], starts[before])


def count_copies(
    copies: np.ndarray, anomaly: np.ndarray, indices: Mapping[Any, np.ndarray]
) -> dict[str, int]:
    """Return the numbers of copies for the data card.

    `copies` are the samples that equal an earlier one, `copies_of_train` those of other splits
    that equal one of `train`, and `normal_and_anomalous` the normal samples that equal an anomaly.
    `indices` holds the samples of each split.
    """
    train = np.unique(copies[indices["train"]])
    others = [rows for name, rows in indices.items() if name != "train"]
    later = copies[np.concatenate(others)] if others else np.zeros(0, np.int64)
    return {
        "copies": len(copies) - len(np.unique(copies)),
        "copies_of_train": int(np.isin(later, train).sum()),
        "normal_and_anomalous": int(np.isin(copies[~anomaly], copies[anomaly]).sum()),
    }


def copies_note(card: Mapping[str, Any]) -> str:
    """Return a sentence about the copies in a data set, described by its card; "" without any."""
    counts = card["copies"]
    if not counts["copies"]:
        return ""
    total = card["unused"] + sum(
        split[kind] for split in card["splits"].values() for kind in ("normal", "anomalies")
    )
    equal = "equals" if counts["copies"] == 1 else "equal"
    parts = [f"{counts['copies']:,} of {total:,} samples {equal} an earlier one in every feature"]
    if counts["copies_of_train"]:
        parts.append(
            f"{counts['copies_of_train']:,} of other splits equal one of train, because the splits "
            "follow time or an official test part, or because the values are frequent; scores of "
            "these may be too good"
        )
    else:
        parts.append("copies are in one split")
    if counts["normal_and_anomalous"]:
        parts.append(f"{counts['normal_and_anomalous']:,} normal ones equal an anomaly")
    return f"{'; '.join(parts)}."
