"""Read the settings of the workspace and of single cells from YAML and validate them."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from hourglass.core.errors import UserError
from hourglass.core.paths import CONFIGS, PARAMS, Cell, valid_name
from hourglass.core.yaml_config import Yaml, arguments, construct, read, resolve

# Location of the training samples: on the device, in host memory, or streamed from their file.
Residency: TypeAlias = Literal["auto", "device", "host", "stream"]
# Implementation of a training step; see hourglass.training.acceleration.
Acceleration: TypeAlias = Literal["auto", "none", "compile", "cuda_graph"]

# Keys of configs/trainer/<name>.yaml that Lightning's Trainer does not have, and their values.
EXTRA_TRAINER_KEYS = {
    "acceleration": get_args(Acceleration),
    "fast_loop": (True, False),
    "residency": get_args(Residency),
}


@dataclass(frozen=True)
class Params:
    """The settings that all experiments share: the file params.yaml.

    `share_rows` names the tables whose rows may go to MLflow (hourglass.core.row_privacy), and
    `trusted_modules` the modules outside this package whose classes settings may name
    (hourglass.core.trusted_imports). `pixel_threshold` holds the settings of
    hourglass.detection.pixel_threshold.
    """

    data: list[str]
    models: list[str]
    seed: int
    trainer: str
    score: dict[str, Any]
    calibration: dict[str, Any]
    study: dict[str, bool]
    share_rows: list[str]
    pixel_threshold: dict[str, Any] = field(default_factory=dict)
    trusted_modules: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        cells: dict[str, Cell] = {}
        for cell in (Cell(data, model) for data in self.data for model in self.models):
            other = cells.setdefault(cell.name, cell)
            if other != cell:
                raise UserError(
                    f"{other.data} with {other.model} and {cell.data} with {cell.model} would both "
                    f"be called {cell.name}; rename one of the files in configs/."
                )


def params() -> Params:
    """Read params.yaml."""
    values = read(PARAMS, arguments(Params))
    return construct(Params, resolve(Params, values, PARAMS.name), PARAMS.name)


def data_config(data: str) -> Yaml:
    """Read configs/data/<data>.yaml."""
    keys = ("class_path", "init_args", "model", "training")
    return read(CONFIGS / "data" / f"{valid_name(data)}.yaml", keys)


def model_config(model: str) -> Yaml:
    """Read configs/model/<model>.yaml."""
    return read(CONFIGS / "model" / f"{valid_name(model)}.yaml", ("class_path", "init_args"))


def shared_config(cell: Cell) -> Yaml:
    """Return the settings of a cell's training that do not belong to the cell alone."""
    data = data_config(cell.data)
    return {
        "model": model_config(cell.model),
        "data": {key: data.get(key) for key in ("model", "training")},
        "seed": params().seed,
    }


def cell_config(cell: Cell) -> Yaml:
    """Read configs/cell/<data>-<model>.yaml, the settings of one cell; {} if it does not exist."""
    return read(cell.config, ("init_args",)) if cell.config.exists() else {}
