"""The MLflow pyfunc flavor of a detector, for programs, Spark and the scoring server.

Nothing here imports Lightning; importing MLflow takes most of the start-up time.
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
from hourglass.serving import requests

if TYPE_CHECKING:
    import pandas as pd


class DetectorModel:
    """Predict scores and alarms of unscaled samples, equal to those of `hourglass score`."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Return score, threshold, alarm and conformal p-value, one row per sample.

        Takes a table by feature name, its columns in any order, or an array (N, *S). Raises an
        MlflowException, which every server answers with status 400, for input that has no score.
        """
        import pandas as pd

        index = getattr(model_input, "index", None)
        try:
            x = requests.to_samples(model_input, self.detector)
            return pd.DataFrame(self.columns(x), index=index)
        except UserError as error:
            raise MlflowException(str(error), BAD_REQUEST) from None

    def columns(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns of the prediction for samples in the detector's order, (N, *S).

        Raises a UserError if a sample has no finite score.
        """
        scores = self.detector.scoring.score_with(x)[0]
        not_finite = np.flatnonzero(~np.isfinite(scores))
        if len(not_finite):
            raise UserError(
                f"row {not_finite[0] + 1} of the request holds values too large to be scored; "
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
    """Return the model in a folder; MLflow calls this function by name."""
    for folder in Path(data_path).parents:
        if (folder / "MLmodel").exists():
            trust_shipped_modules(folder / "code")
    model = DetectorModel(Detector.load(Path(data_path)))
    if "mlflow.pyfunc.scoring_server.app" in sys.modules:  # this process is a scoring server
        from hourglass.serving import server

        server.install(model)
    return model
