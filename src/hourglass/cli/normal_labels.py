"""The labels of a user's samples: the normal ones, their number, and a sentence about them."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.suggestions import counted
from hourglass.data.readers.user_files import anomaly_mask

# Names of columns that may be the label, if their values are few.
LABEL_WORDS = re.compile(
    r"(?i:^is[ _-]|^y$|(^|.*[ _-])(state|status|labels?|class|target|anomal(y|ies|ous)|outliers?|"
    r"fraud(ulent)?|faults?|failures?|defects?|attacks?)($|[ _-]))|^is[A-Z]"
)
MIN_MOST_FREQUENT = 0.8  # share of the rows, as of normal rows


def label_hint(name: str, cells: np.ndarray, is_used: bool) -> str:
    """Return a sentence if the cells, (N,) str, of a column may be labels, otherwise ""."""
    values = cells[cells != ""]
    if not len(values):
        return ""
    normal = most_frequent(values)
    share = float((values == normal).mean())
    if share == 1 or (is_used and share < MIN_MOST_FREQUENT):
        return ""
    used = "it is a feature now" if is_used else "it is left out now"
    return (
        f"Column {name!r} may be a label ({normal!r} in {share:.0%} of the rows); {used}. If it is "
        f"one, add `--label {shlex.quote(name)}`, to measure the quality."
    )


def label_names(labels: np.ndarray, wanted: tuple[str, ...], file: Path) -> list[str]:
    """Return the labels as the file has them: 0 is also 0.0; raise a UserError for unknown ones."""
    anomaly = anomaly_mask(labels, [*wanted], file)  # checks the names
    return [str(name) for name in dict.fromkeys(labels[~anomaly].tolist())]


def most_frequent(labels: np.ndarray) -> str:
    """Return the most frequent label, the first in order of name among equals."""
    names, counts = np.unique(labels, return_counts=True)
    return str(names[counts.argmax()])


def count_anomalies(labels: np.ndarray, anomaly: np.ndarray) -> dict[str, int]:
    """Return the number of anomalies by label."""
    names, counts = np.unique(labels[anomaly], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def label_sentence(init_args: dict[str, Any], normal: int, anomalies: dict[str, int]) -> str:
    """Return a sentence about normal samples and anomalies."""
    if "normal" not in init_args:
        return (
            f"No anomaly is labelled: all {normal:,} count as normal, and anomalies among them "
            "make the detector less sensitive."
        )
    names = ", ".join(map(repr, init_args["normal"]))
    others = sorted(anomalies.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name!r} {count:,}" for name, count in others[:5])
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    is_normal = f"{normal:,} {'is' if normal == 1 else 'are'} normal ({names})"
    return (
        f"{is_normal}, {counted(sum(anomalies.values()), 'anomaly', 'anomalies')} ({shown}{more})."
    )


def interval_sentence(intervals: int, normal: int, anomalies: int) -> str:
    """Return a sentence about the rows in the labelled intervals of a series."""
    return (
        f"{counted(anomalies, 'row')} in {counted(intervals, 'labelled interval')} "
        f"{'is an anomaly' if anomalies == 1 else 'are anomalies'}, {normal:,} are normal."
    )
