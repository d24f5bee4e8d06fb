"""The detector as an MLflow model: loaded from code and safetensors, never from a pickle."""

import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature


class Served:
    """Answer samples with their score and whether it is an alarm."""

    def __init__(self, folder: Path) -> None:
        from hourglass.detection.detector import Detector

        self.detector = Detector.load(folder)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Return score and alarm of unscaled samples: a table by feature name, or an array."""
        import pandas as pd

        names = self.detector.feature_names
        if names and hasattr(model_input, "columns"):
            model_input = model_input[names]
        found = self.detector.scoring(np.asarray(model_input, self.detector.inputs["dtype"]))
        return pd.DataFrame({"score": found, "alarm": self.detector.threshold(found)})


def _load_pyfunc(data_path: str) -> Served:
    """Return the detector; MLflow calls this by name."""
    return Served(Path(data_path))


def requirements(folder: Path) -> list[str]:
    """Return what a server of the model in `folder` installs, at the versions installed here."""
    names = ["numpy", "pandas", "safetensors", "scikit-learn", "torch"]
    network = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    if network["class_path"].startswith("hourglass.networks.bolts."):
        names += ["lightning-bolts", "pytorch-lightning", "torchvision"]
    return [f"{name}=={metadata.version(name)}" for name in names]


def signature(card: dict[str, Any]) -> "ModelSignature":
    """Return the types of input and output: named columns for a table, a tensor for images."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    if card["feature_names"]:
        inputs = Schema([ColSpec("float", name) for name in card["feature_names"]])
    else:
        inputs = Schema([TensorSpec(np.dtype(card["dtype"]), (-1, *card["sample_shape"]))])
    return ModelSignature(inputs, Schema([ColSpec("double", "score"), ColSpec("boolean", "alarm")]))


def example(card: dict[str, Any], samples: Path) -> Any:
    """Return a sample as a caller would send it: the mean, so that no real one leaves its file."""
    x = (
        np.load(samples, mmap_mode="r", allow_pickle=False)[:1000]
        .mean(0, keepdims=True)
        .astype(card["dtype"])
    )
    if not card["feature_names"]:
        return x
    import pandas as pd

    return pd.DataFrame(x, columns=card["feature_names"])


def log(run_id: str, folder: Path, card: dict[str, Any], samples: Path) -> None:
    """Log the detector in `folder` under a run: code, weights, threshold, signature, an example."""
    import mlflow

    mlflow.models.Model.log(
        artifact_path=None,
        flavor=_Flavor(),
        run_id=run_id,
        name="detector",
        loader_module=__name__,
        data_path=str(folder),
        code_paths=[str(Path(__file__).parents[1])],
        pip_requirements=requirements(folder),
        signature=signature(card),
        input_example=example(card, samples),
        validate_serving_input=False,
    )


class _Flavor:
    """Save as `mlflow.pyfunc` does, which does not know that `Model.log` can skip its trial.

    To load every model once more before it is kept would cost each calibration the import of torch
    in a second process; that a logged model can be served is for tests.
    """

    __name__ = "mlflow.pyfunc"

    def save_model(self, validate_serving_input: bool, **arguments: Any) -> None:
        """Write the model's folder."""
        import mlflow

        mlflow.pyfunc.save_model(**arguments)
