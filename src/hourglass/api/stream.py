"""Scores of a series while its rows arrive, for Python programs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.readers.chunks import chunks_in_memory
from hourglass.detection.detector import Detector
from hourglass.detection.series_stream import SeriesStream

if TYPE_CHECKING:
    import pandas as pd


class Stream:
    """Score the rows of a series as they arrive, at a constant cost per row.

    The score of a row is final after `latency` more rows, by default a window less one; it then
    equals that of `score`. With fewer, it is that of the windows known by then.
    """

    def __init__(self, detector: Detector, latency: int | None = None) -> None:
        if not detector.is_series:
            raise UserError("a stream scores time series, but this detector scores single samples.")
        self._detector = detector
        self._stream = SeriesStream(detector.scoring, latency)

    @property
    def latency(self) -> int:
        """Return the number of rows after which a row is scored."""
        return self._stream.latency

    def add(self, rows: "pd.DataFrame | Mapping[str, Any]") -> "pd.DataFrame":
        """Add a row, as a dictionary, or several, as a DataFrame; return the rows scored now.

        The result has the columns `row`, the number of the row among all, from 0, `score` and
        `alarm`.
        """
        import pandas as pd

        frame = pd.DataFrame([rows]) if isinstance(rows, Mapping) else rows
        chunks = list(chunks_in_memory(frame, self._detector))
        return self._scored(*self._stream.add(np.concatenate([chunk.x for chunk in chunks])))

    def flush(self) -> "pd.DataFrame":
        """Return the rows that are still without a score, as the series has ended."""
        return self._scored(*self._stream.flush())

    def _scored(self, numbers: np.ndarray, scores: np.ndarray) -> "pd.DataFrame":
        import pandas as pd

        alarm = self._detector.threshold(scores)
        return pd.DataFrame({"row": numbers, "score": scores, "alarm": alarm})
