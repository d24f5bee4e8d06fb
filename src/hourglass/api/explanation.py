"""Explanations of scores: the contributions of features or pixels, with names."""

from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.detection.attribution import top_features
from hourglass.detection.detector import Detector

if TYPE_CHECKING:
    import pandas as pd


def row_index(samples: Any) -> "pd.Index | None":
    """Return the index of a DataFrame, None for other samples; lists have a method `index`."""
    import pandas as pd

    index = getattr(samples, "index", None)
    return index if isinstance(index, pd.Index) else None


def explanation(
    detector: Detector, x: np.ndarray, index: "pd.Index | None", top: int | None
) -> "pd.DataFrame | np.ndarray":
    """Return contributions as `LoadedDetector.explain` does, for unscaled samples, (N, *S)."""
    import pandas as pd

    contributions, names = detector.contributions(x), detector.feature_names
    if not names:
        return contributions
    if top is None:
        return pd.DataFrame(contributions, index, names)
    if top < 1:
        raise UserError(f"top is {top}, but must be at least 1.")
    indices, values = top_features(contributions, top)
    columns: dict[str, np.ndarray] = {}
    for rank in range(indices.shape[1]):
        columns[f"feature_{rank + 1}"] = np.array(names, object)[indices[:, rank]]
        columns[f"contribution_{rank + 1}"] = values[:, rank]
    return pd.DataFrame(columns, index)
