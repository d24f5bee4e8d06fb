"""Saved views of the MLflow UI: which runs, columns and order the table of runs shows.

MLflow keeps a saved view in a tag of the experiment and lists it in the menu of views. The tag
holds the name, two times, and the compressed state that the UI saves itself (MLflow 3.17,
`mlflow.sharedViewState.<key>`).
"""

import base64
import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hourglass.tracking import descriptions
from hourglass.tracking.descriptions import NOTE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

VIEW_TAG = "mlflow.sharedViewState."  # prefix of the tag of a view
VIEWS_TAG = "hourglass.views"  # the digest of the views that were written
# MLflow opens its pages for language models unless the URL selects those for model training. Other
# versions than 3.17 follow the tag of the experiment instead.
MODEL_TRAINING = "workflowType=machine_learning"
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
# Columns that every table has, by the names of MLflow, with widths in pixels.
FIXED_COLUMNS = {"attributes.`Run Name`": 290, "runDateAndNestInfo": 150}
CELLS = "tags.`hourglass.kind` = 'cell'"


@dataclass(frozen=True)
class View:
    """A saved view; `columns` are (column, width in pixels) in the order of the table."""

    key: str
    name: str
    columns: tuple[tuple[str, int], ...]
    order_by: str
    ascending: bool = False
    search: str = CELLS

    def state(self) -> dict[str, Any]:
        """Return the state of the UI; MLflow takes all other values from its defaults."""
        widths = {_column(name): width for name, width in self.columns}
        return {
            "searchFilter": self.search,
            "orderByKey": _column(self.order_by),
            "orderByAsc": self.ascending,
            "selectedColumns": list(widths),
            "columnOrder": [*FIXED_COLUMNS, *widths],
            "columnWidths": FIXED_COLUMNS | widths,
        }

    def tag(self) -> str:
        """Return the content of the experiment's tag."""
        state = json.dumps(self.state(), separators=(",", ":")).encode()
        compressed = base64.b64encode(zlib.compress(state)).decode()
        now = int(time.time() * 1000)
        times = {"createdAt": now, "updatedAt": now}
        return json.dumps({"name": self.name, **times, "state": f"deflate;{compressed}"})


CELL_COLUMNS = (("params.data", 115), ("params.model", 170), ("params.latent_dim", 90))
LEADERBOARD = View(
    "hourglass-leaderboard",
    "Leaderboard",
    (
        *CELL_COLUMNS,
        ("metrics.test/AUROC", 95),
        ("metrics.interval/AUROC_low", 150),
        ("metrics.interval/AUROC_high", 155),
        ("metrics.test/average_precision", 165),
        ("metrics.test/FPR_at_95_recall", 170),
    ),
    "metrics.test/AUROC",
)
TRAINING_COST = View(
    "hourglass-training-cost",
    "Training cost",
    (
        *CELL_COLUMNS,
        ("metrics.timing/train_seconds", 160),
        ("metrics.timing/train_samples_per_second", 250),
        ("metrics.training/parameters", 150),
        ("metrics.training/epochs", 125),
        ("metrics.training/best_epoch", 150),
        ("metrics.training/best_validation_error", 210),
    ),
    "metrics.timing/train_seconds",
)
CODE_QUALITY = View(
    "hourglass-codes",
    "Codes",
    (
        *CELL_COLUMNS,
        ("metrics.codes/kNN_accuracy", 150),
        ("metrics.codes/linear_accuracy", 160),
        ("metrics.codes/search_precision_at_10", 230),
        ("metrics.codes/frechet_distance", 185),
        ("metrics.codes/class_agreement", 165),
        ("metrics.training/best_validation_error", 210),
    ),
    "metrics.codes/kNN_accuracy",
    search=f"{CELLS} and metrics.`codes/kNN_accuracy` > 0",
)
VIEWS = (LEADERBOARD, TRAINING_COST, CODE_QUALITY)


def trials_view(
    study_run: str,
    cell: str,
    objective: str,
    values: Sequence[str],
    searched: Sequence[str],
    ascending: bool,
) -> View:
    """Return the view of the trials of a study; it replaces that of an earlier study of the cell.

    `study_run` is the id of the study's run, `values` are the metrics of the objective, and
    `searched` are the names of the hyperparameters.
    """
    columns = [
        *(f"metrics.{name}" for name in values),
        *(f"params.{name}" for name in searched),
        "tags.hourglass.state",
        *(f"metrics.training/{name}" for name in ("train_loss", "validation_error")),
    ]
    return View(
        f"hourglass-trials-{cell}-{objective}",
        f"Trials of {cell} ({objective})",
        tuple((column, 60 + 8 * len(column.partition(".")[2])) for column in columns),
        columns[0],
        ascending,
        search=f"tags.`mlflow.parentRunId` = '{study_run}'",
    )


def view_link(experiment_id: str, key: str) -> str:
    """Return the fragment of the URL that opens a saved view of an experiment."""
    return f"#/experiments/{experiment_id}/runs?{MODEL_TRAINING}&viewStateShareKey={key}"


def run_link(experiment_id: str, run_id: str) -> str:
    """Return the fragment of the URL that opens the page of a run."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?{MODEL_TRAINING}"


def saved_views(client: "MlflowClient", experiment_id: str) -> dict[str, str]:
    """Return the URL fragments of all saved views of an experiment, those of this module first."""
    names = {
        key.removeprefix(VIEW_TAG): json.loads(value)["name"]
        for key, value in client.get_experiment(experiment_id).tags.items()
        if key.startswith(VIEW_TAG) and value.startswith('{"name":')
    }
    first = [view.key for view in VIEWS if view.key in names]
    keys = [*first, *sorted(names.keys() - set(first), key=names.__getitem__)]
    return {names[key]: view_link(experiment_id, key) for key in keys}


def write_views(client: "MlflowClient", experiment: "Experiment") -> None:
    """Write kind, description and views of the experiment, unless these views were written before.

    Deleted views stay deleted, and a description that a person wrote stays as it is.
    """
    present, digest = experiment.tags, str(zlib.crc32(repr(VIEWS).encode()))
    if present.get(VIEWS_TAG) == digest:
        return
    id = experiment.experiment_id
    links = {view.name: view_link(id, view.key) for view in VIEWS}
    tags = {KIND_TAG: KIND, NOTE: descriptions.experiment_note(links)}
    tags = {key: value for key, value in tags.items() if key not in present}
    tags |= {f"{VIEW_TAG}{view.key}": view.tag() for view in VIEWS}
    for key, value in {**tags, VIEWS_TAG: digest}.items():
        client.set_experiment_tag(id, key, value)


def _column(name: str) -> str:
    """Return the name of a column as MLflow writes it: the part after the first dot is quoted."""
    kind, _, key = name.partition(".")
    return f"{kind}.`{key}`"
