"""The events of a series' test split, for one cell."""

from pathlib import Path

import numpy as np
import pandas as pd

from hourglass.core.csv_formulas import write_csv
from hourglass.data.prepared_data import Samples
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.attribution import TOP_FEATURES
from hourglass.detection.detector import Detector
from hourglass.detection.event_table import event_frame, with_iso_dates
from hourglass.detection.events import find_events
from hourglass.detection.reasons import top_reasons
from hourglass.evaluation.metrics.series import overlaps


def write_events(folder: Path, detector: Detector, test: Samples, scores: np.ndarray) -> None:
    """Write events.csv: the table of events of `hourglass score`, for the test split.

    If anomalies are labelled, the column `labelled` says whether an event overlaps one. Entities
    are not named, as prepared data do not hold their names; the ids of the rows tell them.
    """
    encoding = detector.encoding
    assert isinstance(encoding, SeriesEncoding)
    windows = encoding.windows(test.x)
    events = find_events(detector.threshold(scores), scores, windows)
    rows = (events.first, events.last, events.peak)
    roles = detector.columns[: len(encoding.roles)]
    ids = [test.id[each] for each in rows]
    table = event_frame(events, scores, ids, roles, test.x, {})
    if test.anomaly.any():
        table["labelled"] = overlaps(events.first, events.last, test.anomaly, windows)
    if len(events):
        reasons = top_reasons(detector, test.x, TOP_FEATURES, rows=events.peak)
        table = pd.concat([table, pd.DataFrame(reasons)], axis=1)
    write_csv(with_iso_dates(table), folder / "events.csv")
