"""A calibrated detector for notebooks: DataFrames and arrays in, DataFrames and arrays out."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from hourglass.api.explanation import explanation, row_index
from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.readers.chunks import chunks_in_memory
from hourglass.detection.detector import Detector
from hourglass.detection.score_writer import ScoredRows, decide, decided_batches, require_scores
from hourglass.detection.scoring import latent_codes, reconstructions
from hourglass.detection.threshold import check_alarm_rule

if TYPE_CHECKING:
    import pandas as pd

SKIP = 'pass missing="skip"'


class LoadedDetector(Detector):
    """A trained network, its score and its threshold; `hourglass.load` returns one.

    `samples` are unscaled. A table is a DataFrame with a column per feature, in any order; other
    columns are ignored. It may also be an array, (N, F), in the order of `feature_names`. Images
    are an array of uint8: (N, C, H, W), (N, H, W, C) or (N, H, W). Methods raise a UserError for
    samples that do not fit.
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
        missing: Literal["refuse", "skip"] = "refuse",
    ) -> "pd.DataFrame":
        """Return the table that `hourglass score` writes, with the index of the samples.

        Columns: `score` (higher is more abnormal), `threshold`, `alarm`, `p_value` (conformal),
        `rank` (1 is the most abnormal of these samples) and, for a table, the three features that
        contributed most, `feature_1` to `contribution_3`.

        Args:
            samples: see the class
            top: raise an alarm for this many samples with the highest scores, instead of the
                threshold
            false_discovery_rate: raise alarms with this expected share of false alarms (Benjamini
                and Hochberg), instead of the threshold
            missing: "skip" leaves rows with empty, infinite or huge values unscored (NA), instead
                of raising a UserError

        """
        check_alarm_rule(top, false_discovery_rate)
        if missing not in ("refuse", "skip"):
            raise UserError(f"missing is {missing!r}; use 'refuse' or 'skip'.")
        spilled = pa.BufferOutputStream()
        rows = ScoredRows(self, spilled)
        for chunk in chunks_in_memory(samples, self):
            scores = rows.add(chunk)
            if missing == "refuse":
                require_scores(scores, chunk, Path("the samples"), self.feature_names, SKIP)
        rows.close()
        decisions = decide(self, rows.scores, top, false_discovery_rate)
        if decisions.no_discoveries:
            warnings.warn(decisions.no_discoveries, stacklevel=2)
        with pa.ipc.open_file(spilled.getvalue()) as batches:
            decided = decided_batches(batches, self.threshold.value, decisions)
            table = pa.Table.from_batches(decided).drop_columns("id")
        frame = table.to_pandas(types_mapper=_nullable_types if missing == "skip" else None)
        index = row_index(samples)
        return frame if index is None else frame.set_index(index)

    def explain(
        self, samples: "pd.DataFrame | np.ndarray", top: int | None = None
    ) -> "pd.DataFrame | np.ndarray":
        """Return the contribution of every feature or pixel to each sample's error.

        A contribution is the squared error of the feature or pixel minus its mean on normal
        samples, in standard deviations. The result is a DataFrame with a column per feature. With
        `top`, its columns are feature_1, contribution_1, feature_2 and so on, for as many features,
        in descending order. For images it is an array, (N, C, H, W): their error maps.
        """
        return explanation(self, self._array(samples), row_index(samples), top)

    def encode(self, samples: "pd.DataFrame | np.ndarray") -> np.ndarray:
        """Return the latent code of each sample, (N, latent_dim) float32."""
        return latent_codes(self.scoring.network, self._array(samples), self.scoring.scaling)

    def reconstruct(self, samples: "pd.DataFrame | np.ndarray") -> "pd.DataFrame | np.ndarray":
        """Return the reconstructions in the units of the samples, float32.

        The result is a DataFrame with a column per feature, or an array, (N, C, H, W), for images.
        """
        scaling = self.scoring.scaling
        scaled = reconstructions(self.scoring.network, self._array(samples), scaling)
        values = scaling.inverse(scaled)
        if not self.feature_names:
            return values
        import pandas as pd

        return pd.DataFrame(values, row_index(samples), self.feature_names)

    def _array(self, samples: "pd.DataFrame | np.ndarray") -> np.ndarray:
        """Return the samples as the network expects them, unscaled: (N, *S)."""
        chunks = list(chunks_in_memory(samples, self))
        complete = np.concatenate([chunk.complete for chunk in chunks])
        if not complete.all():
            raise UserError(
                f"row {complete.argmin() + 1} of the samples has an empty or infinite value; "
                "leave such rows out."
            )
        return np.concatenate([chunk.x for chunk in chunks])


def _nullable_types(kind: pa.DataType) -> Any:
    """Return the pandas type of a column that may hold NA, None for pandas' default."""
    import pandas as pd

    return {pa.bool_(): pd.BooleanDtype(), pa.int64(): pd.Int64Dtype()}.get(kind)
