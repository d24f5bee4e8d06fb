"""The table of scores: one row a sample, in the order of the file, its rank among all."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from hourglass.core.atomic import atomic_file
from hourglass.detection.calibrators.conformal import discoveries
from hourglass.detection.detector import Detector


@dataclass(frozen=True)
class Decisions:
    """What is said of all samples: scores, p-values, ranks, alarms; (N,) each."""

    score: np.ndarray  # NaN where a sample was incomplete
    p_value: np.ndarray
    rank: np.ndarray  # 1 is the highest score; 0 where there is none
    alarm: np.ndarray


def decide(
    detector: Detector, scores: np.ndarray, top: int | None, false_discovery_rate: float | None
) -> Decisions:
    """Return the alarms: the `top` scores, those of Benjamini and Hochberg, or by the threshold."""
    scored = np.isfinite(scores)
    rank, p, alarm = (np.zeros(len(scores), kind) for kind in (np.int64, np.float64, bool))
    rank[np.flatnonzero(scored)[np.argsort(-scores[scored], kind="stable")]] = np.arange(
        1, scored.sum() + 1
    )
    p[scored] = detector.p_values(scores[scored])
    if top is not None:
        alarm = (rank > 0) & (rank <= top)
    elif false_discovery_rate is not None:
        alarm[scored] = discoveries(p[scored], false_discovery_rate)
    else:
        alarm[scored] = detector.threshold(scores[scored])
    return Decisions(scores, p, rank, alarm)


def write(
    path: Path, kept: Path, threshold: float, said: Decisions, heat_maps: dict[int, str] | None
) -> None:
    """Write the table as CSV or Parquet, by the suffix of `path`, whole or not at all.

    `kept` is the Arrow file with the other columns, `heat_maps` the pictures of some images by
    their number.
    """
    with (
        atomic_file(path) as temporary,
        pa.memory_map(str(kept)) as source,
        pa.ipc.open_file(source) as batches,
    ):
        first, text = 0, path.suffix == ".csv"
        with ExitStack() as stack:
            rows = None
            for batch in (batches.get_batch(i) for i in range(batches.num_record_batches)):
                whole = _completed(batch, first, threshold, said, heat_maps)
                if text:
                    whole = _decoded(whole)
                rows = rows or stack.enter_context(writer(temporary, whole.schema))
                rows.write_batch(whole)
                first += len(whole)


def writer(path: Path, schema: pa.Schema) -> csv.CSVWriter | parquet.ParquetWriter:
    """Return what writes batches to a CSV or Parquet file, by the suffix of `path`."""
    if path.suffix == ".csv":
        return csv.CSVWriter(path, schema)
    # Numbers hardly repeat: to look for those that do would take as long as all else.
    repeated = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return parquet.ParquetWriter(path, schema, use_dictionary=repeated)


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with names in the place of their numbers, as CSV needs it."""
    columns = [
        each.dictionary_decode() if pa.types.is_dictionary(each.type) else each
        for each in batch.columns
    ]
    return pa.record_batch(columns, batch.schema.names)


def _completed(
    batch: pa.RecordBatch,
    first: int,
    threshold: float,
    said: Decisions,
    heat_maps: dict[int, str] | None,
) -> pa.RecordBatch:
    """Return the rows from the `first` on with what is said of them; no score is an empty cell."""
    rows = slice(first, first + len(batch))
    absent = said.rank[rows] == 0
    columns = {
        "id": batch["id"],
        "score": pa.array(said.score[rows], mask=absent),
        "threshold": pa.repeat(threshold, len(batch)),
        **{
            name: pa.array(getattr(said, name)[rows], mask=absent)
            for name in ("alarm", "p_value", "rank")
        },
    }
    columns |= {name: batch[name] for name in batch.schema.names[1:]}
    if heat_maps is not None:
        paths = [heat_maps.get(i) for i in range(rows.start, rows.stop)]
        columns["heat_map"] = pa.array(paths, pa.string())
    return pa.record_batch(columns)
