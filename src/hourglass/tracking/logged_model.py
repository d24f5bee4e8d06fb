"""Detectors as MLflow models that load from code and safetensors, without pickle."""

import hashlib
import json
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.core.atomic import sha256
from hourglass.core.code_digest import external_sources
from hourglass.core.paths import Cell
from hourglass.core.trusted_imports import external_modules
from hourglass.data.columns.cell_values import cell_frame
from hourglass.data.columns.column import NUMBER, ROLES, Column
from hourglass.data.readers.user_files import is_number
from hourglass.networks.backbones import packages_of
from hourglass.tracking.descriptions import NOTE, model_note

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

# Output columns per sample, and their types in the terms of MLflow and Spark.
OUTPUT = {"score": "double", "threshold": "double", "alarm": "boolean", "p_value": "double"}
TABLE_OUTPUT = {"reasons": "string"}  # of alarms, for tables
DETECTOR = (
    "hourglass.detector"  # tag of a logged model and its versions: the digest of the detector
)


def detector_digest(files: Iterable[Path]) -> str:
    """Return a SHA-256 digest of the names and contents of a detector's files."""
    lines = sorted(f"{path.name} {sha256(path)}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def requirements(folder: Path) -> list[str]:
    """Return pip requirements for serving the detector in `folder`, at the installed versions."""
    names = ["numpy", "orjson", "pandas", "pillow", "pyarrow", "safetensors", "scikit-learn"]
    names += ["torch"]
    inputs = json.loads((folder / "detector.json").read_text(encoding="utf-8"))
    if not inputs["columns"]:  # to decode images and to find defects
        names += ["imagecodecs", "scipy", "tifffile"]
    network = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    if network["class_path"].startswith("hourglass.networks.bolts."):
        names += ["lightning-bolts", "pytorch-lightning", "torchvision"]
    if network["class_path"].startswith("hourglass.networks.feature."):
        names += packages_of(network["init_args"]["backbone"])
    return [f"{name}=={metadata.version(name)}" for name in names]


def signature(card: dict[str, Any]) -> "ModelSignature":
    """Return the types of input and output; the input is columns for a table, else a tensor.

    Optional columns are not required.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    columns = [Column.from_dict(column) for column in card["columns"]]
    outputs = OUTPUT | TABLE_OUTPUT if columns else OUTPUT
    if columns:
        inputs = Schema(
            [ColSpec(_column_type(column), column.name, not column.optional) for column in columns]
        )
    else:
        shape = card["sample_shape"]
        if "tiling" in card["scaling"]:  # any height and width
            shape = (shape[0], -1, -1)
        inputs = Schema([TensorSpec(np.dtype(card["dtype"]), (-1, *shape))])
    return ModelSignature(inputs, Schema([ColSpec(kind, name) for name, kind in outputs.items()]))


def _column_type(column: Column) -> Any:
    """Return the type of a column for MLflow, which converts few types to others.

    Any type is accepted for a date, which may come as text, and for categories that are numbers or
    truth values: they come as text, as such or, in a column with missing cells, as objects.
    """
    from mlflow.types.schema import AnyType

    if column.kind == "numeric" or (column.kind == "time" and column.date_format == NUMBER):
        return "double"  # a cell may be missing, and pandas reads CSV in double precision
    is_text = column.kind not in ("datetime", *ROLES) and not any(
        is_number(level) or level.lower() in ("false", "true") for level in column.levels
    )
    return "string" if is_text and column.levels else AnyType()


def example(card: dict[str, Any], samples: np.ndarray) -> Any:
    """Return an example request that discloses no sample, from up to 1000 samples, (N, *S).

    It holds the mean of numbers, pixels and dates, and the most frequent level of categories.
    """
    x = samples[:1000]
    if not card["columns"]:
        if tiling := card["scaling"].get("tiling"):
            x = x[:, : tiling["channels"], : tiling["height"], : tiling["width"]]
        return x.mean(0, keepdims=True).astype(card["dtype"])
    columns = [Column.from_dict(column) for column in card["columns"]]
    return cell_frame(np.array([[_usual(x[:, i], c) for i, c in enumerate(columns)]]), columns)


def _usual(codes: np.ndarray, column: Column) -> float:
    known = codes[~np.isnan(codes)]
    if not len(known):
        return np.nan
    if column.kind == "entity":
        return 0.0  # no name of an entity
    if column.kind in ("numeric", "datetime", "time"):
        return float(known.mean())
    counts = np.bincount(known.astype(int), minlength=len(column.levels))
    return float(counts[: max(2, len(column.levels))].argmax())


def code_paths(folder: Path) -> list[Path]:
    """Return the paths of this package and of user modules named in the JSON files of `folder`."""
    texts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return [Path(__file__).parents[1], *external_sources(*sorted(external_modules(texts)))]


def log(
    run_id: str, cell: Cell, epochs: int, folder: Path, card: dict[str, Any], samples: np.ndarray
) -> None:
    """Log the detector in `folder` to a run, with its code, signature and an example request.

    `epochs` is the length of the training.
    """
    import mlflow

    client, note = mlflow.MlflowClient(), model_note(cell)
    run = client.get_run(run_id)
    # Without an experiment id, the model would belong to MLflow's default experiment.
    model = client.create_logged_model(
        run.info.experiment_id,
        name=cell.name,
        source_run_id=run_id,
        tags={DETECTOR: detector_digest(folder.iterdir()), NOTE: note},
        params=run.data.params,
    )
    mlflow.models.Model.log(
        artifact_path=None,
        flavor=_Flavor(),
        run_id=run_id,
        model_id=model.model_id,
        # MLflow copies the metrics of this step to the model. Epochs count from 0, so there are
        # none: the model gets the metrics of the test split instead.
        step=epochs,
        loader_module="hourglass.serving.pyfunc",
        data_path=str(folder),
        code_paths=[str(path) for path in code_paths(folder)],
        pip_requirements=requirements(folder),
        signature=signature(card),
        input_example=example(card, samples),
        validate_serving_input=False,
    )


class _Flavor:
    """The flavor `mlflow.pyfunc` without the validation that loads a model after saving it.

    The validation would import torch in a second process for each calibration; a test loads the
    model instead. `Model.log` passes `validate_serving_input` to the flavor, but `mlflow.pyfunc`
    does not accept it.
    """

    __name__ = "mlflow.pyfunc"

    def save_model(self, validate_serving_input: bool, **arguments: Any) -> None:
        """Write the folder of the model; ignore `validate_serving_input`."""
        import mlflow

        mlflow.pyfunc.save_model(**arguments)
