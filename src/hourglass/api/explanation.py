"""Explanations of scores: the contributions of features or pixels, with names."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.detection.detector import Detector
from hourglass.detection.reasons import top_reasons

if TYPE_CHECKING:
    import pandas as pd


def row_index(samples: Any) -> "pd.Index | None":
    """Return the index of a DataFrame, None for other samples; lists have a method `index`."""
    import pandas as pd

    index = getattr(samples, "index", None)
    return index if isinstance(index, pd.Index) else None


def explanation(
    detector: Detector,
    x: np.ndarray,
    index: "pd.Index | None",
    top: int | None,
    cells: pa.Table | None = None,
) -> "pd.DataFrame | np.ndarray":
    """Return contributions as `LoadedDetector.explain` does, for unscaled samples, (N, *S).

    `cells` are the rows of a table as they were read.
    """
    import pandas as pd

    names = detector.feature_names
    if not names or top is None:
        contributions = detector.contributions(x)
        return pd.DataFrame(contributions, index, names) if names else contributions
    if top < 1:
        raise UserError(f"top is {top}, but must be at least 1.")
    return pd.DataFrame(top_reasons(detector, x, top, cells), index)
