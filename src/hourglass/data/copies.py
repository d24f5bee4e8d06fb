"""Copies: samples with equal values, which must not be in both the train and the test split."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hourglass.data.large_arrays import new_array, new_indices, parts, take_rows, true_rows
from hourglass.data.large_order import counts, occurring, ranks, stable_order
from hourglass.data.streaming import release_pages

BYTES_AT_ONCE = 1 << 24


def find_copies(
    x: np.ndarray, visit: Callable[[int, np.ndarray], None] | None = None
) -> np.ndarray:
    """Return a number below N per sample, (N,), that only copies of it share, for (N, *S).

    Samples are compared by a hash of 64 bits. `visit` is called with parts of consecutive samples
    and the number of their first, so that samples in files are read once for both.
    """
    hashes = new_array((len(x),), np.int64)
    step = max(1, BYTES_AT_ONCE // max(1, x[:1].nbytes))
    for start in range(0, len(x), step):
        samples = x[start : start + step]
        if visit is not None:
            visit(start, samples)
        part = samples.reshape(len(samples), -1)
        if part.dtype.kind == "f":
            part = np.where(np.isnan(part), np.nan, part) + 0.0  # one NaN, and no negative zero
        part = np.ascontiguousarray(part)
        rows = part.view(np.dtype((np.void, part.shape[1] * part.itemsize))).ravel()
        hashes[start : start + step] = np.fromiter(map(hash, rows.tolist()), np.int64, len(rows))
        release_pages(x)
    return ranks(hashes)


def keep_together(
    order: np.ndarray, copies: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return samples in an order in which copies follow each other, and bounds between them.

    `order` holds sample numbers, (n,), and `bounds` divides it into parts. `copies` is the result
    of `find_copies`. Each bound moves to the nearest place that separates no copies. A sample with
    more copies than half of the smallest part, and more than two, is too frequent to be kept in one
    part, so its copies stay where they are. Without copies nothing changes.
    """
    sizes = np.diff([0, *bounds, len(order)])
    smallest = sizes[sizes > 0].min() if len(order) else 0
    largest = 2 if smallest in (2, 3) else smallest // 2  # a bound between two moves by one
    numbers = take_rows(copies, order)
    times = counts(numbers, len(copies))
    if not any(((times[part] > 1) & (times[part] <= largest)).any() for part in parts(times)):
        return order, bounds
    first = new_indices(len(copies), len(order))
    for part in reversed(list(parts(numbers))):  # so that the first of all copies is written last
        first[numbers[part][::-1]] = np.arange(part.start, part.stop)[::-1]
    # The place of each sample, or of the first of its copies.
    place = new_indices(len(order), len(order))
    for part in parts(place):
        together = times[numbers[part]] <= largest
        place[part] = np.where(together, first[numbers[part]], np.arange(part.start, part.stop))
    ordered = stable_order(place, len(order))
    moved = [_nearest_end(place, ordered, bound) if bound else 0 for bound in bounds]
    return take_rows(order, ordered), np.array(moved, bounds.dtype)


def _nearest_end(place: np.ndarray, ordered: np.ndarray, bound: int) -> int:
    """Return the start or the end, the nearer one, of the copies of the sample before a bound."""
    value = place[ordered[bound - 1]]
    start = sum(int(np.count_nonzero(place[part] < value)) for part in parts(place))
    end = start + sum(int(np.count_nonzero(place[part] == value)) for part in parts(place))
    return end if end - bound < bound - start else start


def count_copies(
    copies: np.ndarray, anomaly: np.ndarray, indices: Mapping[Any, np.ndarray]
) -> dict[str, int]:
    """Return the numbers of copies for the data card.

    `copies` are the samples that equal an earlier one, `copies_of_train` those of other splits
    that equal one of `train`, and `normal_and_anomalous` the normal samples that equal an anomaly.
    `indices` holds the samples of each split.
    """
    of_train = occurring(copies, indices["train"], len(copies))
    others = [rows for name, rows in indices.items() if name != "train"]
    of_anomalies = occurring(copies, true_rows(anomaly), len(copies))
    return {
        "copies": len(copies) - int(np.count_nonzero(counts(copies, len(copies)))),
        "copies_of_train": sum(
            int(np.count_nonzero(of_train[copies[rows[part]]]))
            for rows in others
            for part in parts(rows)
        ),
        "normal_and_anomalous": sum(
            int(np.count_nonzero(of_anomalies[copies[part]] & ~anomaly[part]))
            for part in parts(copies)
        ),
    }


def copies_note(card: Mapping[str, Any]) -> str:
    """Return a sentence about the copies in a data set, described by its card; "" without any."""
    found = card["copies"]
    if not found["copies"]:
        return ""
    total = card["unused"] + sum(
        split[kind] for split in card["splits"].values() for kind in ("normal", "anomalies")
    )
    equal = "equals" if found["copies"] == 1 else "equal"
    clauses = [f"{found['copies']:,} of {total:,} samples {equal} an earlier one in every feature"]
    if found["copies_of_train"]:
        clauses.append(
            f"{found['copies_of_train']:,} of other splits equal one of train, because the splits "
            "follow time or an official test part, or because the values are frequent; scores of "
            "these may be too good"
        )
    else:
        clauses.append("copies are in one split")
    if found["normal_and_anomalous"]:
        clauses.append(f"{found['normal_and_anomalous']:,} normal ones equal an anomaly")
    return f"{'; '.join(clauses)}."
