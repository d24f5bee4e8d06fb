"""Writer of the score table: one row per sample in input order, with its rank among all samples.

Scores stay in memory. Other columns are spilled to an Arrow file until ranks are known, so the
input may be larger than memory.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from hourglass.core.atomic import atomic_file
from hourglass.core.csv_formulas import escape_formulas, escape_requested
from hourglass.data.large_arrays import joined, new_array, new_indices, parts
from hourglass.data.readers.chunks import Chunk, Chunks
from hourglass.detection.calibrators.conformal import discoveries, p_values, why_no_discoveries
from hourglass.detection.chunk_scores import score_maps, score_with_reasons
from hourglass.detection.defects import Defect
from hourglass.detection.detector import Detector
from hourglass.detection.event_table import RoleCodes
from hourglass.detection.series_chunks import Scored, score_series_chunks

Pictures: TypeAlias = Mapping[str, Mapping[int, str]]  # paths by sample number, by column
# Chunk, scores, anomaly maps, (N, H, W), and the defects of each image.
OnMaps: TypeAlias = Callable[[Chunk, np.ndarray, np.ndarray, list[list[Defect]]], None]


@dataclass
class ScoredRows:
    """The scores of all chunks so far, and an Arrow file or buffer with the other columns."""

    detector: Detector
    sink: Path | pa.BufferOutputStream  # the Arrow file
    chunk_scores: list[np.ndarray] = field(default_factory=list)
    writer: pa.RecordBatchFileWriter | None = None
    series: RoleCodes | None = None  # entities and times, if the samples are rows of a series
    on_maps: OnMaps | None = None  # gets the anomaly maps and the defects of images

    def __post_init__(self) -> None:
        if self.detector.is_series:
            self.series = RoleCodes(self.detector.columns)

    @property
    def scores(self) -> np.ndarray:
        """Return all scores, (N,); NaN for samples that cannot be scored."""
        return joined(self.chunk_scores) if self.chunk_scores else np.zeros(0)

    def add_all(self, chunks: Chunks) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Add all chunks; yield each with its scores. Those of a series are scored together."""
        if not self.detector.is_series:
            for chunk in chunks:
                yield chunk, self.add(chunk)
            return
        for chunk, scored in score_series_chunks(self.detector, chunks):
            yield chunk, self.add(chunk, scored)

    def add(self, chunk: Chunk, scored: Scored | None = None) -> np.ndarray:
        """Score a chunk and spill its other columns; return scores, (N,), NaN if unscorable.

        `scored` are the results of `Detector.score_with_outputs`, if they are known.
        """
        columns = {"id": chunk.id}
        if self.detector.pixels and self.detector.pixels.threshold:
            scores, reasons = self._score_maps(chunk, columns), None
        else:
            scores, reasons = score_with_reasons(self.detector, chunk, scored=scored)
        if reasons:
            missing = np.isnan(scores)
            names = self.detector.feature_names
            for i, texts in enumerate(reasons.texts):
                codes = pa.array(reasons.column[:, i].astype(np.int32), mask=missing)
                columns[f"feature_{i + 1}"] = pa.DictionaryArray.from_arrays(codes, names)
                contribution = pa.array(reasons.contribution[:, i], mask=missing)
                columns[f"contribution_{i + 1}"] = contribution
                columns[f"reason_{i + 1}"] = texts
        batch = pa.record_batch(columns)
        if self.writer is None:
            self.writer = pa.ipc.new_file(self.sink, batch.schema)
        self.writer.write_batch(batch)
        self.chunk_scores.append(scores)
        if self.series is not None:
            self.series.add(chunk)
        return scores

    def _score_maps(self, chunk: Chunk, columns: dict[str, pa.Array]) -> np.ndarray:
        """Return the scores of images, (N,), and add the number of defects to the columns."""
        scores, maps, defects = score_maps(self.detector, chunk)
        if self.on_maps is not None:
            self.on_maps(chunk, scores, maps, defects)
        columns["defects"] = pa.array([len(each) for each in defects], pa.int64())
        return scores

    def close(self) -> None:
        """Finish the Arrow file."""
        if self.writer is not None:
            self.writer.close()


@dataclass(frozen=True)
class Decisions:
    """Scores, p-values, ranks and alarms of all samples; (N,) each."""

    score: np.ndarray  # NaN for a sample that cannot be scored
    p_value: np.ndarray
    rank: np.ndarray  # 1 for the highest score; 0 without a score
    alarm: np.ndarray
    no_discoveries: str = ""  # why a false discovery rate could give no alarm


def decide(
    detector: Detector, scores: np.ndarray, top: int | None, false_discovery_rate: float | None
) -> Decisions:
    """Decide the alarms and compute p-values and ranks.

    Alarms are the `top` highest scores if that is given, else the discoveries at a false discovery
    rate if that is given, else the scores above the threshold.
    """
    scored = np.isfinite(scores)
    rank, p_value = new_indices(len(scores), len(scores) + 1), new_array(scores.shape, np.float64)
    alarm, reason = np.zeros(len(scores), bool), ""
    descending = new_array(scores.shape, np.float64)
    for part in parts(scores):
        known = scored[part]
        descending[part] = np.where(known, -scores[part], np.inf)
        p_value[part][known] = p_values(detector.calibration_scores, scores[part][known])
    order = np.argsort(descending, kind="stable")[: np.count_nonzero(scored)]
    for part in parts(order):
        rank[order[part]] = np.arange(part.start + 1, part.stop + 1)
    del order, descending
    if top is not None:
        alarm = (rank > 0) & (rank <= top)
    elif false_discovery_rate is not None:
        alarm[scored] = discoveries(p_value[scored], false_discovery_rate)
        n = len(detector.calibration_scores)
        reason = why_no_discoveries(n, p_value[scored], false_discovery_rate)
    else:
        alarm[scored] = detector.threshold(scores[scored])
    return Decisions(scores, p_value, rank, alarm, reason)


def write(
    path: Path,
    spilled: Path,
    threshold: float,
    decisions: Decisions,
    pictures: Pictures,
) -> None:
    """Write the table atomically, as CSV or Parquet by the suffix of `path`.

    `spilled` is the Arrow file with the other columns. `pictures` has, by the name of a column, the
    paths of pictures by sample number.
    """
    with (
        atomic_file(path) as temporary,
        pa.memory_map(str(spilled)) as source,
        pa.ipc.open_file(source) as batches,
        ExitStack() as stack,
    ):
        output = None
        for rows in decided_batches(batches, threshold, decisions, pictures):
            output = output or stack.enter_context(open_writer(temporary, rows.schema))
            output.write_batch(rows)


def decided_batches(
    batches: pa.RecordBatchFileReader,
    threshold: float,
    decisions: Decisions,
    pictures: Pictures | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the spilled batches of `ScoredRows` as rows of the score table; see `write`."""
    first_row = 0
    for batch in (batches.get_batch(i) for i in range(batches.num_record_batches)):
        yield _with_decisions(batch, first_row, threshold, decisions, pictures or {})
        first_row += len(batch)


class _EscapingWriter(csv.CSVWriter):
    def write_batch(self, batch: pa.RecordBatch) -> None:
        columns = [escape_formulas(column) for column in batch.columns]
        super().write_batch(pa.record_batch(columns, batch.schema))


def open_writer(path: Path, schema: pa.Schema) -> csv.CSVWriter | parquet.ParquetWriter:
    """Open a CSV or Parquet file for record batches, by the suffix of `path`."""
    if path.suffix == ".csv":
        return (_EscapingWriter if escape_requested() else csv.CSVWriter)(path, schema)
    # Floats rarely repeat; a dictionary of them would double the time.
    repeated = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return parquet.ParquetWriter(path, schema, use_dictionary=repeated)


def _with_decisions(
    batch: pa.RecordBatch,
    first_row: int,
    threshold: float,
    decisions: Decisions,
    pictures: Pictures,
) -> pa.RecordBatch:
    """Add the decisions to a batch that starts at `first_row`; unscored rows get nulls."""
    rows = slice(first_row, first_row + len(batch))
    rank = decisions.rank[rows].astype(np.int64)
    missing = rank == 0
    columns = {
        "id": batch["id"],
        "score": pa.array(decisions.score[rows], mask=missing),
        "threshold": pa.repeat(threshold, len(batch)),
        "alarm": pa.array(decisions.alarm[rows], mask=missing),
        "p_value": pa.array(decisions.p_value[rows], mask=missing),
        "rank": pa.array(rank, mask=missing),
    }
    columns |= {name: batch[name] for name in batch.schema.names[1:]}
    for name, paths in pictures.items():
        found = [paths.get(i) for i in range(rows.start, rows.stop)]
        columns[name] = pa.array(found, pa.string())
    return pa.record_batch(columns)
