"""The labels of a user's samples: the normal ones, their number, and a sentence about them."""

from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.suggestions import counted
from hourglass.data.readers.user_files import anomaly_mask


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
