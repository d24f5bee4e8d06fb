"""Electroencephalogram: a series of four channels, bundled with Matplotlib."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hourglass.data.base import Raw
from hourglass.data.series import Series

FILE = "eeg.dat"
CHANNELS = ("PG3", "PG5", "PG7", "PG9")
HERTZ = 200


class Electroencephalogram(Series):
    """Four seconds of an electroencephalogram at 200 Hz, without labels: all rows are normal.

    (800, 5): the time in seconds, and four electrodes in units of their standard deviation. The
    first two seconds train. No download is needed.
    """

    def __init__(self, window: int = 16) -> None:
        super().__init__(FILE, time="seconds", window=window)

    def load(self, folder: Path) -> Raw:
        """Load all 800 rows; `folder` is not read."""
        import pandas as pd
        from matplotlib.cbook import get_sample_data

        from hourglass.data.frames import frame_table

        path = Path(str(get_sample_data(FILE, asfileobj=False)))
        values = np.fromfile(path).reshape(-1, len(CHANNELS))
        frame = pd.DataFrame(values, columns=list(CHANNELS))
        frame.insert(0, "seconds", np.arange(len(frame)) / HERTZ)
        raw = self.load_inferred(self.infer(frame_table(frame, path)))
        source = {
            "name": "electroencephalogram",
            "licence": "sample data of Matplotlib (PSF licence)",
        }
        return replace(raw, source={**raw.source, **source})
