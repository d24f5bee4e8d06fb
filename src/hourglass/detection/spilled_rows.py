"""Scores of all samples in memory, all else about them in a file until their ranks are known."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.data.readers.chunks import Chunk
from hourglass.detection.attribution import FEATURES, largest
from hourglass.detection.detector import Detector


@dataclass
class ScoredRows:
    """Judge portions as they come; keep what a table of them needs in an Arrow file."""

    detector: Detector
    path: Path
    parts: list[np.ndarray] = field(default_factory=list)
    writer: pa.RecordBatchFileWriter | None = None

    @property
    def scores(self) -> np.ndarray:
        """Return all scores, (N,), NaN of incomplete samples."""
        return np.concatenate(self.parts) if self.parts else np.zeros(0)

    def add(self, portion: Chunk) -> np.ndarray:
        """Judge the samples of a portion and return their scores, (N,); NaN where there is none."""
        names, chosen = self.detector.feature_names, portion.complete
        scores = np.full(len(portion.x), np.nan)
        places = np.zeros((len(portion.x), min(FEATURES, len(names))), np.int32)
        values = np.zeros(places.shape, np.float32)
        if chosen.any():
            x = portion.x if chosen.all() else portion.x[chosen]
            scores[chosen], contributions = self.detector.judge(x)
            scores[~np.isfinite(scores)] = np.nan
            if names:
                places[chosen], values[chosen] = largest(contributions, FEATURES)
        self._keep(portion, places, values, absent=np.isnan(scores))
        self.parts.append(scores)
        return scores

    def _keep(
        self, portion: Chunk, places: np.ndarray, values: np.ndarray, absent: np.ndarray
    ) -> None:
        columns = {"id": portion.id}
        for i in range(places.shape[1]):
            indices = pa.array(places[:, i], mask=absent)
            names = pa.DictionaryArray.from_arrays(indices, self.detector.feature_names)
            columns |= {
                f"feature_{i + 1}": names,
                f"contribution_{i + 1}": pa.array(values[:, i], mask=absent),
            }
        batch = pa.record_batch(columns)
        if self.writer is None:
            self.writer = pa.ipc.new_file(self.path, batch.schema)
        self.writer.write_batch(batch)

    def close(self) -> None:
        """Finish the file."""
        if self.writer is not None:
            self.writer.close()


def need_scores(scores: np.ndarray, portion: Chunk, file: Path, names: list[str]) -> None:
    """Raise a UserError that names the first sample without a score, and why it has none."""
    if not np.isnan(scores).any():
        return
    row = int(np.isnan(scores).argmax())
    if portion.complete[row]:
        reason = f"row {portion.id[row]} of {file} holds values too large to be scored"
    else:
        feature = names[int(np.isfinite(portion.x[row]).argmin())]
        reason = f"{feature!r} of {file} is empty or not finite in row {portion.id[row]}"
    raise UserError(f"{reason}; mend it, or add --missing skip to leave such rows without a score.")
