"""`hourglass.load`: a detector from a workspace, a folder or MLflow's model registry."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hourglass.api.loaded_detector import LoadedDetector
from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import RUNS, STAGE_FOLDERS, Cell, inside
from hourglass.core.suggestions import suggest_names
from hourglass.detection.metadata import METADATA

REGISTRY = "models:/"
TRAIN, CALIBRATE = STAGE_FOLDERS["train"], STAGE_FOLDERS["calibrate-threshold"]


def load(source: str | Path, workspace: str | Path = ".") -> LoadedDetector:
    """Return a calibrated detector, ready to score samples.

    `source` is one of:

    - `"<data>/<variant>"`, a cell of the workspace, such as `"credit_card/undercomplete"`
    - a folder of a cell, or one with all files of a detector, such as a downloaded MLflow
      model
    - `"models:/<name>@<alias>"` or `"models:/<name>/<version>"`, a registered model; from the
      server MLFLOW_TRACKING_URI, or the workspace's mlflow.db if that is not set

    No code from these files is executed. Raises a UserError if there is no such detector, or if a
    file is damaged.
    """
    if str(source).startswith(REGISTRY):
        return _registered(str(source), Path(workspace))
    folder = Path(source).absolute()
    with inside(workspace):
        parts = Path(source).parts
        if len(parts) == 2 and (RUNS / source).is_dir():
            return LoadedDetector.of_cell(Cell(*parts))
        if folder.is_dir():
            return _in_folder(folder)
        cells = [path.parent.relative_to(RUNS).as_posix() for path in RUNS.glob(f"*/*/{CALIBRATE}")]
    raise UserError(
        f"{str(source)!r} is neither a folder nor a calibrated cell of {Path(workspace).absolute()}"
        f": {suggest_names(str(source), cells)}."
    )


def _in_folder(folder: Path) -> LoadedDetector:
    """Load the detector in the folder of a cell, of a detector, or of an MLflow model."""
    if (folder / CALIBRATE / METADATA).is_file():
        return LoadedDetector.load(folder / CALIBRATE, folder / TRAIN)
    found = [path.parent for path in (*folder.glob(METADATA), *folder.glob(f"data/*/{METADATA}"))]
    if len(found) != 1:
        raise UserError(
            f"{folder} holds no detector; name the folder of a calibrated cell, such as "
            "runs/<data>/<variant>, or one with detector.json and weights.safetensors."
        )
    return LoadedDetector.load(found[0])


def _registered(uri: str, workspace: Path) -> LoadedDetector:
    """Download and load a registered model; its files are read, and its code is not imported."""
    from hourglass.tracking.connection import tracking_uri

    store, database = tracking_uri(workspace.absolute()), workspace.absolute() / "mlflow.db"
    if "MLFLOW_TRACKING_URI" not in os.environ and not database.exists():
        raise UserError(
            f"{database} does not exist, so there is no registry with {uri}; set "
            "MLFLOW_TRACKING_URI, or name the workspace."
        )
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with TemporaryDirectory() as folder:
        try:
            path = download_artifacts(f"{uri}/data", None, None, folder, store, store)
        except (MlflowException, OSError, ValueError) as error:
            raise UserError(
                f"{uri} cannot be downloaded ({one_line(error)}); name a registered model as "
                "models:/<name>@<alias> or models:/<name>/<version>, and its server in "
                "MLFLOW_TRACKING_URI or its workspace."
            ) from None
        return _in_folder(Path(path).parent)
