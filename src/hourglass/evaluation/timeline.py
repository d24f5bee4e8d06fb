"""A stretch of a series in time: inputs, reconstructions, scores, alarms and labels of its rows."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hourglass.data.columns.cell_values import date_texts, level_names
from hourglass.data.columns.column import NUMBER, Column
from hourglass.data.columns.encoding import ColumnEncoding
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.detector import Detector
from hourglass.detection.events import Events, find_events
from hourglass.detection.scorers.forward_cache import by_step
from hourglass.evaluation.metrics.events import runs
from hourglass.evaluation.recordings import Recording, recordings

MAX_CHANNELS = 6  # panels of a figure
WORST_WINDOWS = 6  # least duration of the stretch around the highest score, in windows
WORST_MARGIN = 0.4  # on both sides of a long event together, as a share of its duration
DRAWN_KINDS = ("numeric", "boolean", "categorical")  # a date has no single reconstruction


@dataclass(frozen=True)
class Channel:
    """A column of a series: its codes and their reconstructions, in the units of the file."""

    column: Column
    x: np.ndarray  # (T,) codes
    output: np.ndarray  # (T,) reconstructed codes; of a boolean, probabilities

    @property
    def levels(self) -> list[str]:
        """Return the texts of the codes 0, 1 and so on; [] of a number."""
        return [] if self.column.kind == "numeric" else level_names(self.column)


@dataclass(frozen=True)
class Timeline:
    """Rows of a series that follow each other in time; a gap lies between rows of different runs.

    `name` tells the rows from others of the same series, "" if there are no others.
    """

    name: str
    time: np.ndarray  # (T,) ascending; of dates, seconds since 1970
    time_column: Column
    step: float
    window: float  # duration of a window
    run: np.ndarray  # (T,)
    score: np.ndarray  # (T,)
    threshold: float
    alarm: np.ndarray  # (T,)
    event: np.ndarray  # (T,) number of the event of alarms that holds the row, -1 without one
    anomaly: np.ndarray  # (T,) labelled anomalies
    columns: tuple[ColumnEncoding, ...]
    codes: np.ndarray  # (T, C)
    output: np.ndarray  # (T, F) reconstructed inputs
    contribution: np.ndarray  # (T, C)
    z: np.ndarray  # (T, latent_dim) latent codes

    @classmethod
    def of(
        cls,
        detector: Detector,
        x: np.ndarray,
        scores: np.ndarray,
        anomaly: np.ndarray | None = None,
        ids: np.ndarray | None = None,
    ) -> "Timeline":
        """Return the recording with the most alarms, of equal ones that with the highest score.

        `x` are the codes of rows, (N, R + C), `scores` their scores, (N,), `anomaly` their labels,
        (N,), and `ids` names of the rows, (N,).
        """
        encoding = detector.scoring.scaling
        assert isinstance(encoding, SeriesEncoding)
        found = recordings(encoding, x)
        alarm = detector.threshold(scores)
        order = [(alarm[one.rows].sum(), scores[one.rows].max()) for one in found]
        chosen = order.index(max(order))
        one = found[chosen]
        rows = x[one.rows]
        events = find_events(alarm[one.rows], scores[one.rows], encoding.windows(rows))
        _, contribution, output, z = detector.scoring.score_with(
            rows,
            detector.profile.contributions,
            lambda forward: by_step(forward.output),
            lambda forward: forward.z,
        )
        labels = np.zeros(len(x), bool) if anomaly is None else anomaly
        return cls(
            name=_name(detector, found, chosen, ids) if len(found) > 1 else "",
            time=one.time,
            time_column=next(each for each in detector.columns if each.kind == "time"),
            step=encoding.step,
            window=encoding.step * encoding.window,
            run=one.run,
            score=scores[one.rows],
            threshold=detector.threshold.value,
            alarm=alarm[one.rows],
            event=_event_numbers(events, len(rows)),
            anomaly=labels[one.rows],
            columns=encoding.columns,
            codes=encoding.features(rows),
            output=output,
            contribution=contribution,
            z=z,
        )

    @property
    def is_date(self) -> bool:
        """Return whether the times are dates or times of day, in seconds."""
        return self.time_column.date_format != NUMBER

    @cached_property
    def worst(self) -> int:
        """The row with the highest score; the middle of consecutive rows that share it."""
        score = np.where(np.isfinite(self.score), self.score, -np.inf)
        starts, ends = runs(score == score.max(), self.run)
        return int((starts[0] + ends[0] - 1) // 2)

    def time_text(self, time: float) -> str:
        """Return a time, such as "2026-11-29 03:10" in UTC, or a number."""
        return str(date_texts(np.array([time]))[0]) if self.is_date else f"{time:.10g}"

    @property
    def worst_stretch(self) -> tuple[float, float]:
        """Return the first and the last time of a stretch around the highest score.

        It holds the whole event of alarms with a margin, and WORST_WINDOWS windows or more.
        """
        first = last = self.worst
        if self.event[self.worst] >= 0:
            first, last = np.flatnonzero(self.event == self.event[self.worst])[[0, -1]].tolist()
        middle = (self.time[first] + self.time[last]) / 2
        duration = (self.time[last] - self.time[first]) * (1 + WORST_MARGIN)
        half = max(duration, WORST_WINDOWS * self.window) / 2
        return float(middle - half), float(middle + half)

    def around_worst(self) -> "Timeline":
        """Return the rows of `worst_stretch`."""
        first, last = self.worst_stretch
        ends = np.searchsorted(self.time, [first, last + self.step / 2])
        rows = slice(*ends.tolist())
        per_row = ("time", "run", "score", "alarm", "event", "anomaly", "codes", "output", "z")
        cut = {name: getattr(self, name)[rows] for name in (*per_row, "contribution")}
        return replace(self, **cut)

    def channels(self) -> list[Channel]:
        """Return the MAX_CHANNELS with the largest mean contributions to the alarms, in this order.

        Without an alarm, the row with the highest score decides.
        """
        rows = self.alarm if self.alarm.any() else [self.worst]
        mean = self.contribution[rows].mean(0)
        ranked = [
            i
            for i in np.argsort(-mean, kind="stable").tolist()
            if self.columns[i].column.kind in DRAWN_KINDS
        ]
        first = np.cumsum([0, *(column.width for column in self.columns)])
        channels = []
        for i in ranked[:MAX_CHANNELS]:
            encoding, output = self.columns[i], self.output[:, first[i] : first[i + 1]]
            is_boolean = encoding.column.kind == "boolean"
            restored = output[:, 0] if is_boolean else encoding.decode(output.astype(np.float64))
            channels.append(Channel(encoding.column, self.codes[:, i], restored))
        return channels


def _event_numbers(events: Events, rows: int) -> np.ndarray:
    """Return the number of the event of each row in the order of time, (T,), -1 without one."""
    index = np.arange(rows)
    event = np.searchsorted(events.first, index, "right") - 1
    last = np.append(events.last, -1)  # of event -1
    return np.where(index <= last[event], event, -1)


def _name(detector: Detector, found: list[Recording], chosen: int, ids: np.ndarray | None) -> str:
    """Return such as "machine 3 of 12, rows a.csv/1 to a.csv/90".

    The code of an entity is a hash, so its name is unknown; rows are numbered as in the file.
    """
    entity = [column.name for column in detector.columns if column.kind == "entity"]
    name = f"{entity[0] if entity else 'recording'} {chosen + 1} of {len(found)}"
    if ids is None:
        return name
    rows = found[chosen].rows
    return f"{name}, rows {ids[rows[0]]} to {ids[rows[-1]]}"
