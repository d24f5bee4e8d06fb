"""The detector as MLflow loads it, in a program, in Spark and in its scoring server.

Nothing here imports Lightning; MLflow itself is what takes long to import.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

from hourglass.core.errors import UserError
from hourglass.detection.detector import Detector
from hourglass.serving import requests

if TYPE_CHECKING:
    import pandas as pd


class Served:
    """Answer unscaled samples with what `hourglass score` says of them."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Return score, threshold, alarm and conformal p-value, a row a sample.

        Takes a table by feature name, its columns in any order, or an array (N, *S). Raises an
        MlflowException, which every server answers with status 400, for input that has no score.
        """
        import pandas as pd

        index = getattr(model_input, "index", None)
        try:
            x = requests.of_object(model_input, self.detector)
            return pd.DataFrame(self.answers(x), index=index)
        except UserError as refusal:
            raise MlflowException(str(refusal), BAD_REQUEST) from None

    def answers(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns of the answer for samples in the detector's order and type, (N, *S).

        Raises a UserError where a sample has no finite score.
        """
        scores = self.detector.scoring.score_with(x)[0]
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            raise UserError(
                f"row {bad[0] + 1} of the request holds values too large to be scored; mend it."
            )
        threshold = self.detector.threshold
        return {
            "score": scores,
            "threshold": np.full(len(scores), threshold.value),
            "alarm": threshold(scores),
            "p_value": self.detector.p_values(scores),
        }


def _load_pyfunc(data_path: str) -> Served:
    """Return the detector; MLflow calls this by name."""
    served = Served(Detector.load(Path(data_path)))
    if "mlflow.pyfunc.scoring_server.app" in sys.modules:  # this process is a scoring server
        from hourglass.serving import server

        server.install(served)
    return served
