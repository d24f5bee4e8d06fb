"""The MLflow model registry: versions of the detectors of a data set, and the champion."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.core.errors import UserError, one_line
from hourglass.tracking.descriptions import registered_model_note
from hourglass.tracking.logged_model import DETECTOR

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"  # alias of the served version
DECISION = "decision"  # tag with the reason for moving, or not moving, the alias to a version
MISSING_ALIAS_CODES = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Registry:
    """The registered model `hourglass-<data>`; its versions are detectors of one data set."""

    client: "MlflowClient"
    experiment_id: str
    data: str

    @property
    def name(self) -> str:
        """Return the name of the registered model."""
        return f"hourglass-{self.data}"

    def logged(self, detector: str) -> Any | None:
        """Return the logged model for a digest of detector files, or None."""
        condition = f"tags.`{DETECTOR}` = '{detector}'"
        models = self.client.search_logged_models([self.experiment_id], filter_string=condition)
        return next((model for model in models if model.status == "READY"), None)

    def version(self, detector: str) -> Any | None:
        """Return the latest version for a digest of detector files, or None."""
        versions = self.client.search_model_versions(f"name = '{self.name}'")
        same = [version for version in versions if version.tags.get(DETECTOR) == detector]
        return max(same, key=lambda version: int(version.version), default=None)

    def register(self, model: Any, tags: dict[str, str], description: str) -> Any:
        """Create a version from a logged model and return it."""
        from mlflow.exceptions import MlflowException

        try:
            note = registered_model_note(self.data)
            self.client.create_registered_model(self.name, description=note)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self.client.create_model_version(
            self.name,
            source=f"models:/{model.model_id}",
            run_id=model.source_run_id,
            tags=tags,
            description=description,
            model_id=model.model_id,
        )

    def champion(self) -> Any | None:
        """Return the version with the champion alias, or None."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version_by_alias(self.name, CHAMPION)
        except MlflowException as error:
            if error.error_code not in MISSING_ALIAS_CODES:
                raise
            return None

    def decide(self, version: Any, decision: str, moves: bool) -> None:
        """Tag a version with a decision, and move the champion alias to it if `moves`."""
        self.client.set_model_version_tag(self.name, version.version, DECISION, decision)
        if moves:
            self.client.set_registered_model_alias(self.name, CHAMPION, version.version)

    def fetch(self, version: Any, folder: Path) -> Path:
        """Download the detector of a version below `folder` and return the detector's folder.

        The files are not loaded, so no code runs. Raises a UserError if the download fails.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            uri = f"models:/{self.name}/{version.version}/data"
            (detector,) = Path(download_artifacts(uri, dst_path=str(folder))).iterdir()
            return detector
        except (MlflowException, OSError, ValueError) as error:
            raise UserError(
                f"the files of {self.name} version {version.version} cannot be downloaded "
                f"({one_line(error)}); add --force to replace it."
            ) from None
