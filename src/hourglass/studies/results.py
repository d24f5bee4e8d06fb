"""The result of an analysis: metrics, tables and figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class StudyResult:
    """Metrics by name, tables and figures by file name, and durations.

    Durations are separate, in `timing`, because all other results are reproducible.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    timing: Mapping[str, float] = field(default_factory=dict)

    def __or__(self, other: "StudyResult") -> "StudyResult":
        """Return the union of two results; `other` replaces entries of the same name."""
        return StudyResult(
            {**self.metrics, **other.metrics},
            {**self.tables, **other.tables},
            {**self.figures, **other.figures},
            {**self.timing, **other.timing},
        )
