"""MLflow's registry: the versions of a data set's detectors, and the one that is served."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.core.errors import UserError, one_line
from hourglass.tracking.model import DETECTOR

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"  # the alias of the version that callers get
DECISION = "decision"  # tag of a version: why the alias moved to it, or did not
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # how MLflow says: no such alias


@dataclass(frozen=True)
class Registry:
    """Register detectors of one data set under the name `hourglass-<data>`."""

    client: "MlflowClient"
    experiment_id: str
    data: str

    @property
    def name(self) -> str:
        """Return the name of the registered model."""
        return f"hourglass-{self.data}"

    def logged(self, detector: str) -> Any | None:
        """Return the logged model that holds the files of this digest, None where there is none."""
        condition = f"tags.`{DETECTOR}` = '{detector}'"
        found = self.client.search_logged_models([self.experiment_id], filter_string=condition)
        return next((each for each in found if each.status == "READY"), None)

    def version(self, detector: str) -> Any | None:
        """Return the version that holds the files of this digest, the latest one."""
        found = self.client.search_model_versions(f"name = '{self.name}'")
        same = [each for each in found if each.tags.get(DETECTOR) == detector]
        return max(same, key=lambda each: int(each.version), default=None)

    def register(self, model: Any, tags: dict[str, str]) -> Any:
        """Return a new version that holds a logged model."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self.client.create_model_version(
            self.name,
            source=f"models:/{model.model_id}",
            run_id=model.source_run_id,
            tags=tags,
            model_id=model.model_id,
        )

    def champion(self) -> Any | None:
        """Return the version that the alias names, None where it names none."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version_by_alias(self.name, CHAMPION)
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            return None

    def decide(self, version: Any, decision: str, moves: bool) -> None:
        """Move the alias to a version, or leave it where it is, and keep why."""
        self.client.set_model_version_tag(self.name, version.version, DECISION, decision)
        if moves:
            self.client.set_registered_model_alias(self.name, CHAMPION, version.version)

    def fetch(self, version: Any, folder: Path) -> Path:
        """Return the folder of a version's detector, below `folder`; none of its code is run.

        Raises a UserError where its files are gone.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            uri = f"models:/{self.name}/{version.version}/data"
            (found,) = Path(download_artifacts(uri, dst_path=str(folder))).iterdir()
            return found
        except (MlflowException, OSError, ValueError) as error:
            raise UserError(
                f"the files of {self.name} version {version.version} cannot be had "
                f"({one_line(error)}); add --force to replace it."
            ) from None
