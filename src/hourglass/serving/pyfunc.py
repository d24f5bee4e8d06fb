"""The MLflow pyfunc flavor of a detector, for Python programs, Spark and the scoring server.

This module does not import Lightning. Most of the start-up time is the import of MLflow.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

from hourglass.core.errors import UserError
from hourglass.core.trusted_imports import trust_shipped_modules
from hourglass.data.readers.chunks import Chunk
from hourglass.detection.calibrators.conformal import p_values
from hourglass.detection.chunk_scores import score_maps, score_with_reasons
from hourglass.detection.detector import Detector
from hourglass.serving.answer_maps import map_columns
from hourglass.serving.request_limits import Limits
from hourglass.serving.request_samples import to_samples

if TYPE_CHECKING:
    import pandas as pd


class DetectorModel:
    """A pyfunc model with the scores and alarms of `hourglass score`, for unscaled samples."""

    def __init__(self, detector: Detector, limits: Limits = Limits()) -> None:
        self.detector = detector
        self.limits = limits

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Return score, threshold, alarm and conformal p-value, one row per sample.

        For a table, `reasons` of an alarm are the columns that contributed most, with their values
        and what was expected. A row without any value has neither score nor alarm. The input is a
        table with the feature names as columns, in any order, or an array, (N, *S). Images may also
        be a list or the only column of a table, of bytes of image files, or of these in base64.
        With `params` {"map": True}, maps and defects are added, see `map_columns`. Raises an
        MlflowException for input that cannot be scored; servers return it as status 400.
        """
        import pandas as pd

        index = model_input.index if isinstance(model_input, pd.DataFrame) else None
        try:
            chunk = to_samples(model_input, self.detector, self.limits)
            with_maps = bool(params and params.get("map"))
            return pd.DataFrame(self.columns(chunk, with_maps), index=index)
        except UserError as error:
            raise MlflowException(str(error), BAD_REQUEST) from None

    def get_raw_model(self) -> Self:
        """Return this model; MLflow's wrapper lets only arrays of one shape pass for images."""
        return self

    def columns(self, chunk: Chunk, with_maps: bool = False) -> dict[str, np.ndarray]:
        """Return the predictions for samples, with features in the detector's order.

        The score of a sample that cannot be scored is NaN, and its alarm is None. `with_maps` adds
        the anomaly map and the defects of each image; raises a UserError without a pixel threshold.
        """
        threshold, more, reasons = self.detector.threshold, {}, None
        if with_maps:
            scores, maps, defects = score_maps(self.detector, chunk)
            more = map_columns(maps, defects, self.detector.pixel_alarms.require_threshold())
        else:
            scores, reasons = score_with_reasons(self.detector, chunk, above=threshold.value)
        known = np.isfinite(scores)
        alarm, p_value = np.zeros(len(scores), bool), np.full(len(scores), np.nan)
        alarm[known], p_value[known] = (
            threshold(scores[known]),
            p_values(self.detector.calibration_scores, scores[known]),
        )
        columns = {
            "score": scores,
            "threshold": np.full(len(scores), threshold.value),
            "alarm": alarm,
            "p_value": p_value,
        }
        if not known.all():  # no alarm is known for a row without a score
            columns["alarm"] = alarm.astype(object)
            columns["alarm"][~known] = None
        if reasons:
            columns["reasons"] = np.array(reasons.joined(), object)
        return columns | more


def _load_pyfunc(data_path: str) -> DetectorModel:
    """Load the model in a folder; MLflow calls this function by name."""
    for folder in Path(data_path).parents:
        if (folder / "MLmodel").exists():
            trust_shipped_modules(folder / "code")
    is_server = "mlflow.pyfunc.scoring_server.app" in sys.modules
    limits = Limits.from_environment(is_server)
    model = DetectorModel(Detector.load(Path(data_path)), limits)
    if is_server:
        from hourglass.serving import server

        server.install(model)
    return model
