"""The result of an analysis: metrics, tables and figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class StudyResult:
    """Metrics, and tables and figures by file name.

    Durations are separate, in `timing`: everything else is the same in every run.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    timing: Mapping[str, float] = field(default_factory=dict)

    def __or__(self, other: "StudyResult") -> "StudyResult":
        """Return the union of two results."""
        return StudyResult(
            {**self.metrics, **other.metrics},
            {**self.tables, **other.tables},
            {**self.figures, **other.figures},
            {**self.timing, **other.timing},
        )
