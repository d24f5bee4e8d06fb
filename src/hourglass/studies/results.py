"""What each part of a study gives: figures of merit, tables, and pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class StudyResult:
    """Hold metrics and, by the names of their files, tables and pictures.

    How long something took stands apart in `timing`: all else is the same in every run.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    timing: Mapping[str, float] = field(default_factory=dict)

    def __or__(self, other: "StudyResult") -> "StudyResult":
        """Return both together."""
        return StudyResult(
            {**self.metrics, **other.metrics},
            {**self.tables, **other.tables},
            {**self.figures, **other.figures},
            {**self.timing, **other.timing},
        )
