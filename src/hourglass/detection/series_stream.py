"""Scores of a series while its rows arrive, at a constant cost per row.

One forward pass per new window; its value is kept until all rows that it covers have their score.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.data.batches import Scaled
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.inference import best_device
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scoring import FittedScorer
from hourglass.detection.series_scoring import Block, combine_windows, score_features


@dataclass
class _Run:
    """The last steps of a run of consecutive rows of one entity, and its last windows."""

    time: float  # of the last row
    inputs: Tensor  # (F, steps): the last steps, fewer than a window unless new ones are added
    steps: int = 0  # so far
    values: Tensor | None = None  # (n, ...) of the last windows, see `score_features`
    starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # of these windows
    rows: list[int] = field(default_factory=list)  # numbers of the rows without a score so far
    positions: list[int] = field(default_factory=list)  # their steps


class SeriesStream:
    """Score the rows of series as they arrive.

    The score of a row is final, and equal to that of `score`, once `window` - 1 more rows of its
    run are known, or `window` with a stride. With a `latency` of fewer rows, it is that of the
    windows known by then; with 0, that of the window which the row ends. Rows of several entities
    may alternate. A row that arrives on the step of an earlier one, as with equal times, takes that
    step's score: unlike in `score`, its values count only if both are added at once.

    Raises a UserError if the latency is negative or longer than that.
    """

    def __init__(self, scoring: FittedScorer, latency: int | None = None) -> None:
        assert isinstance(scoring.scaling, SeriesEncoding)
        self.scoring = scoring
        self.encoding = scoring.scaling
        # With a stride, the last window of a run may begin between two others.
        longest = self.encoding.window - (self.encoding.stride == 1)
        self.latency = longest if latency is None else latency
        if not 0 <= self.latency <= longest:
            raise UserError(f"latency is {latency}, but must be between 0 and {longest} rows.")
        device = best_device()
        self.network = scoring.network.to(device)
        self.encode = Scaled(self.encoding, device)
        self.device = device
        self.count = 0  # rows so far
        self.runs: dict[float, _Run] = {}  # by entity

    def add(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Add rows, (n, R + C) codes; return the numbers, from 0, and scores of rows now scored.

        The numbers count all rows so far. They ascend within an entity.
        """
        time, entity = self.encoding.time(x), self.encoding.entity(x)
        with torch.inference_mode():
            inputs = self.encode(torch.from_numpy(x).to(self.device)).T
        numbers = np.arange(self.count, self.count + len(x))
        self.count += len(x)
        found: list[tuple[np.ndarray, np.ndarray]] = []
        groups = [(0.0, np.arange(len(x)))]
        if entity is not None:
            groups = [(key, np.flatnonzero(entity == key)) for key in np.unique(entity).tolist()]
        for key, rows in groups:
            found += self._add(key, time[rows], inputs[:, rows], numbers[rows])
        return _joined(found)

    def flush(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers and scores of the rows that are still without; all runs end."""
        found = [scored for run in self.runs.values() for scored in self._end(run)]
        self.runs.clear()
        return _joined(found)

    def _add(
        self, key: float, time: np.ndarray, inputs: Tensor, numbers: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Add rows of one entity; yield the rows that are scored now."""
        first = 0
        while first < len(time):
            run = self.runs.get(key)
            before = run.time if run else time[first]
            with np.errstate(invalid="ignore"):
                gaps = np.rint(np.diff(time[first:], prepend=before) / self.encoding.step)
            ends = np.flatnonzero((gaps < 0) | (gaps > self.encoding.max_gap))
            gaps[np.isnan(gaps)] = 1
            stop = len(gaps) if not len(ends) else int(ends[0])
            if run is None:
                gaps[0], stop = 1, max(stop, 1)
                run = self.runs[key] = _Run(time[first], inputs[:, :0])
            if stop:
                part = slice(first, first + stop)
                self._extend(run, gaps[:stop].astype(int), inputs[:, part], numbers[part])
                run.time = time[first + stop - 1]
                yield from self._scored(run, run.steps - self.latency)
            first += stop
            if len(ends) and first < len(time):
                yield from self._end(self.runs.pop(key))

    def _extend(self, run: _Run, gaps: np.ndarray, inputs: Tensor, numbers: np.ndarray) -> None:
        """Add rows to a run; a step without a row repeats the one before."""
        window, before = self.encoding.window, run.steps
        positions = run.steps + np.cumsum(gaps) - 1
        run.rows += numbers.tolist()
        run.positions += positions.tolist()
        steps = np.arange(run.steps, positions[-1] + 1)
        if len(steps):
            row = np.searchsorted(positions, steps, side="right") - 1
            new = inputs[:, np.maximum(row, 0)]
            if (row < 0).any():
                new[:, row < 0] = run.inputs[:, -1:]
            run.inputs = torch.cat([run.inputs, new], 1)
            run.steps = int(positions[-1]) + 1
        starts = np.arange(max(0, before - window + 1), run.steps - window + 1)
        self._pass(run, starts[starts % self.encoding.stride == 0])
        run.inputs = run.inputs[:, -window:]

    def _pass(self, run: _Run, starts: np.ndarray) -> None:
        """Append the values of the windows at `starts`."""
        if not len(starts):
            return
        window, first = self.encoding.window, run.steps - run.inputs.shape[1]
        view = run.inputs.unfold(1, window, 1).transpose(0, 1)
        with torch.inference_mode():
            # Small batches are not filled up as in batch scoring: that would cost more than a row.
            forward = ForwardCache(self.network, _windows(view, starts - first))
            features = self.scoring.scorer.extract(forward)
            values = score_features(features, self.encoding.row_score, self.scoring.score_function)
        run.values = values if run.values is None else torch.cat([run.values, values])
        run.starts = np.concatenate([run.starts, starts])

    def _scored(self, run: _Run, known: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows of steps before `known` that a window covers, with their scores."""
        window = self.encoding.window
        covered = int(run.starts[-1]) + window if len(run.starts) else 0
        count = int(np.searchsorted(run.positions, min(known, covered)))
        if not count or run.values is None:
            return
        positions = np.array(run.positions[:count])
        first, stop = int(positions[0]), int(positions[-1]) + 1
        block = Block(first, stop, run.starts)
        values = combine_windows(run.values, block, window, self.encoding.combine)
        found = values.cpu().numpy().astype(np.float64)[positions - first]
        scores = found[:, 0] if run.values.ndim < 3 else self.scoring.score_function(found)
        yield np.array(run.rows[:count]), scores
        del run.rows[:count], run.positions[:count]
        needed = run.starts > (run.positions[0] if run.positions else run.steps) - window
        run.starts, run.values = run.starts[needed], run.values[torch.from_numpy(needed)]

    def _end(self, run: _Run) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield all remaining rows of a run, which has ended."""
        last = run.steps - self.encoding.window
        if last < 0:  # the first row is repeated at the beginning
            padding = run.inputs[:, :1].expand(-1, -last)
            run.inputs = torch.cat([padding, run.inputs], 1)
            run.positions = [position - last for position in run.positions]
            run.steps, last = self.encoding.window, 0
        if not len(run.starts) or run.starts[-1] < last:
            self._pass(run, np.array([last]))
        yield from self._scored(run, run.steps)


def _windows(view: Tensor, indices: np.ndarray) -> Tensor:
    """Return the windows at ascending indices, (n, F, W); a range of them is not copied."""
    if len(indices) == indices[-1] - indices[0] + 1:
        return view[indices[0] : indices[-1] + 1]
    return view[torch.from_numpy(indices)]


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0)
    numbers, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return numbers, scores
