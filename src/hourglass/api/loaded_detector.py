"""A calibrated detector for notebooks: DataFrames and arrays in, DataFrames and arrays out."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pyarrow as pa

from hourglass.api.explanation import explanation, row_index
from hourglass.api.outlier_methods import OutlierMethods
from hourglass.api.stream import Stream
from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.columns.cell_values import cell_frame
from hourglass.data.columns.column import Missing
from hourglass.data.readers.chunks import Chunk, chunks_in_memory
from hourglass.detection.chunk_scores import require_scores, score_chunk
from hourglass.detection.defects import defect_frame, defects_of_map
from hourglass.detection.detector import Detector
from hourglass.detection.event_table import scored_events
from hourglass.detection.events import EventRule
from hourglass.detection.score_writer import ScoredRows, decide, decided_batches
from hourglass.detection.scoring import latent_codes, reconstructions
from hourglass.detection.threshold import check_alarm_rule

if TYPE_CHECKING:
    import pandas as pd

SKIP = 'pass missing="use"'


class LoadedDetector(OutlierMethods, Detector):
    """A trained network, its score and its threshold; `hourglass.load` returns one.

    `samples` are unscaled. A table is a DataFrame of the raw values, with a column per feature, in
    any order; other columns are ignored. It may also be an array of numbers, (N, C), in the order
    of `feature_names`. NaN, None and the usual markers such as "NA" are missing cells, which are
    scored. Images are an array of uint8: (N, C, H, W), (N, H, W, C) or (N, H, W). Methods raise a
    UserError for samples that do not fit. `score_samples`, `decision_function`, `predict` and
    `p_values` are those of `hourglass.Autoencoder`, and `encode` is its `transform`.
    """

    def __repr__(self) -> str:
        inputs = (
            counted(len(self.feature_names), "feature") if self.feature_names else self.sample_shape
        )
        threshold = f"{self.threshold.value:.6g} ({self.threshold.method})"
        return f"<detector of {self.inputs['data']}, {inputs}, threshold {threshold}>"

    def score(
        self,
        samples: "pd.DataFrame | np.ndarray",
        *,
        top: int | None = None,
        false_discovery_rate: float | None = None,
        missing: Missing = "use",
    ) -> "pd.DataFrame":
        """Return the table that `hourglass score` writes, with the index of the samples.

        Columns: `score` (higher is more abnormal), `threshold`, `alarm`, `p_value` (conformal),
        `rank` (1 is the most abnormal of these samples) and, for a table, the three features that
        contributed most, `feature_1`, `contribution_1`, `reason_1` and so on.

        Args:
            samples: see the class
            top: raise an alarm for this many samples with the highest scores, instead of the
                threshold
            false_discovery_rate: raise alarms with this expected share of false alarms (Benjamini
                and Hochberg), instead of the threshold
            missing: "use" scores rows with missing cells, "skip" leaves them unscored (NA), and
                "refuse" raises a UserError; a row without any value has no score

        """
        check_alarm_rule(top, false_discovery_rate)
        rows, spilled = self._scored(samples, missing)
        decisions = decide(self, rows.scores, top, false_discovery_rate)
        if decisions.no_discoveries:
            warnings.warn(decisions.no_discoveries, stacklevel=2)
        with pa.ipc.open_file(spilled.getvalue()) as batches:
            decided = decided_batches(batches, self.threshold.value, decisions)
            table = pa.Table.from_batches(decided).drop_columns("id")
        frame = table.to_pandas(
            types_mapper=_nullable_types if np.isnan(rows.scores).any() else None
        )
        index = row_index(samples)
        return frame if index is None else frame.set_index(index)

    def events(
        self,
        samples: "pd.DataFrame | np.ndarray",
        *,
        min_length: int = 1,
        cool_down: int | None = None,
        missing: Missing = "use",
    ) -> "pd.DataFrame":
        """Return the events of a time series: alarms that belong together, one row each.

        Columns: `event` (a number), the entity, `start`, `end` and `peak` (times), `start_id`,
        `end_id` and `peak_id` (in the index of the samples, or row numbers from 1), `rows` (from
        the first to the last alarm), `alarms` (rows with an alarm), `score` (the highest), and the
        three features that contributed most at the peak. Raises a UserError if the detector is not
        of a time series.

        Args:
            samples: see the class
            min_length: drop events of fewer rows from the first to the last alarm
            cool_down: rows without an alarm that end an event; a window by default
            missing: see `score`

        """
        rule = EventRule(min_length, cool_down)
        if not self.is_series:
            raise UserError(f"{self.inputs['data']} is no time series, so it has no events.")
        rows, spilled = self._scored(samples, missing)
        alarm = decide(self, rows.scores, None, None).alarm
        with pa.ipc.open_file(spilled.getvalue()) as batches:
            table = scored_events(rows, alarm, batches, rule)
        index = row_index(samples)
        if index is not None:
            for name in ("start_id", "end_id", "peak_id"):
                table[name] = index[table[name].to_numpy(int) - 1].to_numpy()
        return table

    def stream(self, latency: int | None = None) -> Stream:
        """Return an object that scores the rows of a time series as they arrive.

        `latency` is the number of rows after which a row is scored: by default a window less one,
        so that scores equal those of `score`. Raises a UserError if the detector is not of a time
        series, or for a longer latency.
        """
        return Stream(self, latency)

    def _scored(
        self, samples: "pd.DataFrame | np.ndarray", missing: Missing
    ) -> tuple[ScoredRows, pa.BufferOutputStream]:
        """Score samples; return the scores, and the buffer with the other columns."""
        if missing not in get_args(Missing):
            raise UserError(f"missing is {missing!r}; use 'use', 'refuse' or 'skip'.")
        spilled = pa.BufferOutputStream()
        rows = ScoredRows(self, spilled)
        for chunk, scores in rows.add_all(chunks_in_memory(samples, self, missing)):
            if missing == "refuse":
                require_scores(scores, chunk, Path("the samples"), SKIP)
        rows.close()
        if rows.series and (note := rows.series.irregularity(self.encoding)):
            warnings.warn(note, stacklevel=3)
        return rows, spilled

    def anomaly_score(self, X: "pd.DataFrame | np.ndarray") -> np.ndarray:
        """Return the anomaly scores, (N,); the score of a row without any value is NaN."""
        chunks = self._chunks(X)
        if not self.is_series:
            return np.concatenate([score_chunk(self, chunk)[0] for chunk in chunks])
        scores = self.scoring.score_with(np.concatenate([chunk.x for chunk in chunks]))[0]
        scores[~np.concatenate([chunk.complete for chunk in chunks])] = np.nan
        return scores

    def explain(
        self, samples: "pd.DataFrame | np.ndarray", top: int | None = None
    ) -> "pd.DataFrame | np.ndarray":
        """Return the contribution of every feature or pixel to each sample's error.

        A contribution is the loss of the feature, or the squared error of the pixel, minus its mean
        on normal samples, in standard deviations. The result is a DataFrame with a column per
        feature. With `top`, its columns are feature_1, contribution_1, reason_1, feature_2 and so
        on, for as many features, in descending order; a reason holds the value and what was
        expected. For images it is an array, (N, C, H, W): their error maps.
        """
        chunks = self._chunks(samples)
        cells = [chunk.cells for chunk in chunks if chunk.cells is not None]
        table = pa.Table.from_batches(cells) if cells else None
        x = np.concatenate([chunk.x for chunk in chunks])
        return explanation(self, x, row_index(samples), top, table)

    def encode(self, samples: "pd.DataFrame | np.ndarray") -> np.ndarray:
        """Return the latent code of each sample, (N, latent_dim) float32."""
        return latent_codes(self.scoring.network, self._array(samples), self.scoring.scaling)

    def reconstruct(self, samples: "pd.DataFrame | np.ndarray") -> "pd.DataFrame | np.ndarray":
        """Return the reconstructions in the units of the samples.

        The result is a DataFrame with a column per feature, or a float32 array, (N, C, H, W), for
        images.
        """
        scaling = self.scoring.scaling
        scaled = reconstructions(self.scoring.network, self._array(samples), scaling)
        values = scaling.inverse(scaled)
        if not self.feature_names:
            return values
        return cell_frame(values, self.features, row_index(samples))

    def anomaly_map(self, samples: np.ndarray) -> np.ndarray:
        """Return the anomaly map of each image, (N, H, W) float32: how unusual each pixel is.

        It is the mean squared error of the channels, smoothed, or the map of the scorer AnomalyMap.
        Raises a UserError for a table.
        """
        self.pixel_alarms  # noqa: B018  (refuses tables)
        return np.concatenate(list(self.anomaly_maps(self._array(samples))))

    def defects(self, samples: np.ndarray) -> "pd.DataFrame":
        """Return the defects of images: connected regions of maps above the pixel threshold.

        Columns: `image` (its position, from 0), `number` (1 has the highest score in its image),
        `area`, the box `x`, `y`, `width` and `height` in pixels, `score` (the highest pixel) and
        `mean_score`. Raises a UserError for a table, and without a pixel threshold.
        """
        alarms = self.pixel_alarms
        threshold = alarms.require_threshold()
        found = [
            defects_of_map(each, threshold, alarms.min_area)
            for maps in self.anomaly_maps(self._array(samples))
            for each in maps
        ]
        return defect_frame(found)

    @property
    def _detector(self) -> Detector:
        return self

    def _array(self, samples: "pd.DataFrame | np.ndarray") -> np.ndarray:
        """Return the samples unscaled, (N, *S); of a table, the codes of the cells."""
        return np.concatenate([chunk.x for chunk in self._chunks(samples)])

    def _chunks(self, samples: "pd.DataFrame | np.ndarray") -> list[Chunk]:
        return list(chunks_in_memory(samples, self))


def _nullable_types(kind: pa.DataType) -> Any:
    """Return the pandas type of a column that may hold NA, None for pandas' default."""
    import pandas as pd

    return {pa.bool_(): pd.BooleanDtype(), pa.int64(): pd.Int64Dtype()}.get(kind)
