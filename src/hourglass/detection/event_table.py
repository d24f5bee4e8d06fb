"""The table of events of a series: one row per event, with its times and its reasons."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hourglass.core.atomic import atomic_file
from hourglass.core.csv_formulas import escape_requested, write_csv
from hourglass.core.suggestions import counted
from hourglass.data.columns.column import NUMBER, Column
from hourglass.data.large_arrays import joined
from hourglass.data.readers.chunks import Chunk
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.table_encoding import TableEncoding
from hourglass.data.windows import irregular_counts, is_regular
from hourglass.detection.block_scores import expected_alarms_per_day
from hourglass.detection.calibrators.alarms_per_day import DAY
from hourglass.detection.events import EventRule, Events, find_events
from hourglass.detection.threshold import Threshold

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.detection.score_writer import ScoredRows


@dataclass
class RoleCodes:
    """Entities and times of the rows of all chunks so far."""

    columns: Sequence[Column]  # of a detector, the roles first
    codes: list[np.ndarray] = field(default_factory=list)  # (n, R) each
    names: dict[float, Any] = field(default_factory=dict)  # of entities, by code

    @property
    def roles(self) -> list[Column]:
        """Return the columns of entity and time."""
        return [column for column in self.columns if not column.is_feature]

    def add(self, chunk: Chunk) -> None:
        """Add the rows of a chunk."""
        codes = np.array(chunk.x[:, : len(self.roles)])
        self.codes.append(codes)
        entity = self.roles[0]
        if entity.kind == "entity" and chunk.cells is not None and len(codes):
            found, rows = np.unique(codes[:, 0], return_index=True)
            texts = chunk.cells[entity.name].take(pa.array(rows)).to_pylist()
            self.names = dict(zip(found.tolist(), texts, strict=True)) | self.names

    def irregularity(self, encoding: TableEncoding) -> str:
        """Return why the scores of the rows do not mean much, "" if they fit regular steps."""
        assert isinstance(encoding, SeriesEncoding)
        windows = encoding.windows(joined(self.codes))
        if is_regular(windows):
            return ""
        shared, padded = irregular_counts(windows)
        return (
            f"{padded:,} of {len(windows.row_of_step):,} steps have no row and {shared:,} rows "
            "share a step, so most scores are not those of normal windows; give rows in order of "
            f"time, with the step of training, {encoding.step:g}, and at least a window of "
            f"{encoding.window:,} rows at once."
        )


def event_times(
    events: Events, roles: Sequence[Column], codes: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the columns start, end and peak: numbers or datetime64, as the times of the file.

    `codes` are those of the roles, (T, R). A series without a column of times has none of them.
    """
    time = next(i for i, column in enumerate(roles) if column.kind == "time")
    column = roles[time]
    if column.optional:  # the number of a row
        return {}
    values: dict[str, np.ndarray] = {}
    for name, rows in (("start", events.first), ("end", events.last), ("peak", events.peak)):
        times = codes[rows, time]
        values[name] = times if column.date_format == NUMBER else _dates(times)
    return values


def _dates(seconds: np.ndarray) -> np.ndarray:
    """Return seconds since 1970, (E,), as datetime64 in milliseconds."""
    dates = np.round(1000 * np.nan_to_num(seconds)).astype("datetime64[ms]")
    dates[np.isnan(seconds)] = np.datetime64("NaT")
    return dates


def event_frame(
    events: Events,
    scores: np.ndarray,
    ids: Sequence[Any],
    roles: Sequence[Column],
    codes: np.ndarray,
    names: dict[float, Any],
) -> "pd.DataFrame":
    """Return the table of events, without reasons.

    `ids` are those of the first row, the last row and the peak of each event, (E,) each. `scores`
    and `codes` of the roles are those of all rows, (T, ...). `names` are those of entities by
    their codes; without any, the table has no column of entities.
    """
    import pandas as pd

    columns: dict[str, Any] = {"event": np.arange(1, len(events) + 1)}
    if names:
        entities = codes[events.first, 0].tolist()
        columns[roles[0].name] = np.array([names.get(code) for code in entities], object)
    columns |= event_times(events, roles, codes)
    columns |= dict(zip(("start_id", "end_id", "peak_id"), ids, strict=True))
    columns |= {"rows": events.rows, "alarms": events.alarms, "score": scores[events.peak]}
    return pd.DataFrame(columns)


def scored_events(
    rows: "ScoredRows", alarm: np.ndarray, batches: pa.RecordBatchFileReader, rule: EventRule
) -> "pd.DataFrame":
    """Return the events of scored rows with the reasons at their peaks.

    `alarm` is that of each row, (T,); `batches` are those that `rows` has spilled.
    """
    import pandas as pd

    series, encoding = rows.series, rows.detector.encoding
    assert series is not None
    assert isinstance(encoding, SeriesEncoding)
    codes = joined(series.codes)
    events = find_events(alarm, rows.scores, encoding.windows(codes), rule)
    peaks = _rows_at(batches, events.peak)
    ids = [_rows_at(batches, each, ["id"])["id"] for each in (events.first, events.last)]
    ids.append(peaks.pop("id"))
    frame = event_frame(events, rows.scores, ids, series.roles, codes, series.names)
    return pd.concat([frame, pd.DataFrame(peaks)], axis=1)


def _rows_at(
    batches: pa.RecordBatchFileReader, rows: np.ndarray, names: list[str] | None = None
) -> dict[str, np.ndarray]:
    """Return the columns of spilled batches at rows, (E,) each; `names` are those wanted."""
    order = np.argsort(rows, kind="stable")
    ascending, found, start = rows[order], [], 0
    for batch in (batches.get_batch(i) for i in range(batches.num_record_batches)):
        stop = start + len(batch)
        inside = ascending[slice(*np.searchsorted(ascending, [start, stop]))]
        batch = batch if names is None else batch.select(names)
        found.append(batch.take(pa.array(inside - start)))
        start = stop
    table = pa.Table.from_batches(found).take(pa.array(np.argsort(order)))
    return {name: table[name].to_pandas().to_numpy() for name in table.column_names}


def write_spilled_events(
    path: Path, spilled: Path, rows: "ScoredRows", alarm: np.ndarray, rule: EventRule
) -> int:
    """Write the table of `scored_events`; return the number of events.

    `spilled` is the Arrow file of `rows`.
    """
    with pa.memory_map(str(spilled)) as source, pa.ipc.open_file(source) as batches:
        events = scored_events(rows, alarm, batches, rule)
    write_events(path, events)
    return len(events)


def write_events(path: Path, events: "pd.DataFrame") -> None:
    """Write the table, as CSV with ISO dates or Parquet by the suffix of `path`."""
    with atomic_file(path) as temporary:
        if path.suffix == ".csv":
            texts = with_iso_dates(events)
            if escape_requested():
                write_csv(texts, temporary)
            else:
                texts.to_csv(temporary, index=False, lineterminator="\n")
        else:
            events.to_parquet(temporary, index=False)


def with_iso_dates(events: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table with dates as text, such as 2026-11-29T03:10:00."""
    events = events.copy()
    for name in events.select_dtypes("datetime"):
        dates = events[name].to_numpy("datetime64[ms]")
        known = ~np.isnat(dates)
        whole = (dates == dates.astype("datetime64[s]"))[known].all()
        texts = np.datetime_as_string(dates, "s" if whole else "ms")
        events[name] = np.where(known, texts, "")
    return events


def events_sentence(
    events: int, rows: int, encoding: TableEncoding, threshold: Threshold | None
) -> str:
    """Return the number of events of scored rows, and of those per day, as text.

    `threshold` is that of the alarms, None if another rule decided.
    """
    assert isinstance(encoding, SeriesEncoding)
    days = rows * encoding.step / DAY
    expected = threshold and expected_alarms_per_day(threshold, encoding)
    promise = "" if expected is None else f", at most {expected:.3g} expected of normal rows"
    return f"{counted(events, 'event')} ({events / days:.3g} per day{promise})"
