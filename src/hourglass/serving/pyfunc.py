"""The MLflow pyfunc flavor of a detector, for Python programs, Spark and the scoring server.

This module does not import Lightning. Most of the start-up time is the import of MLflow.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

from hourglass.core.errors import UserError
from hourglass.core.trusted_imports import trust_shipped_modules
from hourglass.detection.detector import Detector
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

        The input is a table with the feature names as columns, in any order, or an array, (N, *S).
        Raises an MlflowException for input that cannot be scored; servers return it as status 400.
        """
        import pandas as pd

        index = getattr(model_input, "index", None)
        try:
            x = to_samples(model_input, self.detector, self.limits)
            return pd.DataFrame(self.columns(x), index=index)
        except UserError as error:
            raise MlflowException(str(error), BAD_REQUEST) from None

    def columns(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return the predictions for samples, (N, *S), with features in the detector's order.

        Raises a UserError if a sample has no finite score.
        """
        scores = self.detector.scoring.score_with(x)[0]
        invalid = np.flatnonzero(~np.isfinite(scores))
        if len(invalid):
            raise UserError(
                f"row {invalid[0] + 1} of the request holds values too large to be scored; "
                "correct it."
            )
        threshold = self.detector.threshold
        return {
            "score": scores,
            "threshold": np.full(len(scores), threshold.value),
            "alarm": threshold(scores),
            "p_value": self.detector.p_values(scores),
        }


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
