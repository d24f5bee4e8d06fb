"""The settings of the workspace and of one cell, read from YAML and checked."""

import inspect
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from hourglass.configuration import (
    Yaml,
    arguments,
    construct,
    import_class,
    mapping,
    read,
    refuse_unknown,
    resolve,
)
from hourglass.errors import Refusal
from hourglass.workspace import CONFIGS, PARAMS, Cell, checked

# Where samples are kept while a network trains on them: on the device; in memory, from where they
# are fetched; or in their file, likewise.
Residency: TypeAlias = Literal["auto", "device", "host", "stream"]
# How a step is taken, see hourglass.training.acceleration.
Acceleration: TypeAlias = Literal["auto", "none", "compile", "cuda_graph"]

# The keys of configs/trainer/<name>.yaml that are not Lightning's, and their values.
OWN = {"acceleration": get_args(Acceleration), "residency": get_args(Residency)}


@dataclass(frozen=True)
class Params:
    """What cuts across experiments: the file params.yaml.

    `share_rows` names the tables whose single rows may go to MLflow, see hourglass.sharing.
    """

    data: list[str]
    models: list[str]
    seed: int
    trainer: str
    score: dict[str, Any]
    calibration: dict[str, Any]
    study: dict[str, bool]
    share_rows: list[str]

    def __post_init__(self) -> None:
        cells: dict[str, Cell] = {}
        for cell in (Cell(data, model) for data in self.data for model in self.models):
            other = cells.setdefault(cell.name, cell)
            if other != cell:
                raise Refusal(
                    f"{other.data} with {other.model} and {cell.data} with {cell.model} would both "
                    f"be called {cell.name}; rename one of the files in configs/."
                )


@dataclass(frozen=True)
class Training:
    """How long and in which portions to train on a data set.

    `batch_size` counts the samples of one optimiser step over all devices together. Training stops
    after `max_epochs`, or once the validation error has not improved for `patience` epochs.
    """

    batch_size: int = 256
    max_epochs: int = 50
    patience: int = 10

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise Refusal(f"{name} is {value}, but must be at least 1.")


@dataclass(frozen=True)
class CellSettings:
    """Everything that decides what the training of one cell gives, resolved."""

    data: str
    model: str
    class_path: str
    init_args: Yaml
    training: Training
    trainer: Yaml
    seed: int

    @property
    def residency(self) -> Residency:
        """Return where samples are kept, as the trainer's file says."""
        found: Residency = self.trainer.get("residency", "auto")
        return found


def params() -> Params:
    """Return params.yaml."""
    values = read(PARAMS, arguments(Params))
    return construct(Params, resolve(Params, values, PARAMS.name), PARAMS.name)


def data_config(data: str) -> Yaml:
    """Return configs/data/<data>.yaml."""
    keys = ("class_path", "init_args", "model", "training")
    return read(CONFIGS / "data" / f"{checked(data)}.yaml", keys)


def model_config(model: str) -> Yaml:
    """Return configs/model/<model>.yaml."""
    return read(CONFIGS / "model" / f"{checked(model)}.yaml", ("class_path", "init_args"))


def cell_config(cell: Cell) -> Yaml:
    """Return configs/cell/<data>-<model>.yaml, what this one cell has of its own; {} without it."""
    return read(cell.config, ("init_args",)) if cell.config.exists() else {}


def resolve_cell(cell: Cell, sample_shape: tuple[int, ...]) -> CellSettings:
    """Return the settings of a cell: what suits the data set, what makes the variant, its own.

    The data set's `model:` section serves every variant: a variant takes the settings it knows. The
    variant's init_args come after it and win, those of the cell come last. Imports Lightning.

    Raises a Refusal that names the file and the setting.
    """
    from hourglass.models.base import LitAutoencoder

    own, shared = params(), data_config(cell.data)
    path, variant = f"configs/model/{cell.model}.yaml", model_config(cell.model)
    kind = import_class(variant.get("class_path", ""), LitAutoencoder, path)
    suited = suited_to(kind, shared.get("model"), f"configs/data/{cell.data}.yaml, model")
    where, fixed = f"{path} on {cell.data}", {"sample_shape": list(sample_shape)}
    init_args = suited | mapping(variant.get("init_args"), f"{path}, init_args")
    if single := mapping(cell_config(cell).get("init_args"), f"{cell.config}, init_args"):
        resolve(kind, single, f"{cell.config.as_posix()}, init_args", fixed)
    source = f"configs/data/{cell.data}.yaml, training"
    training = resolve(Training, shared.get("training"), source)
    return CellSettings(
        data=cell.data,
        model=cell.model,
        class_path=variant["class_path"],
        init_args=resolve(kind, init_args | single, where, fixed),
        training=construct(Training, training, source),
        trainer=trainer_config(own.trainer),
        seed=own.seed,
    )


def suited_to(kind: type, values: Yaml | None, where: str) -> Yaml:
    """Return those of a data set's `model:` settings that a variant's constructor takes.

    Raises a Refusal for a setting that neither this variant nor any network knows, and for a value
    of the wrong type.
    """
    values, own = mapping(values, where), set(arguments(kind))
    refuse_unknown(values, sorted(known_settings(kind)), where)
    suited = {key: value for key, value in values.items() if key in own}
    resolve(kind, suited, where, {"sample_shape": [1]})
    return suited


def known_settings(kind: type) -> set[str]:
    """Return the settings that this variant or any network knows: another name is a mistake."""
    from hourglass.models.base import LitAutoencoder
    from hourglass.networks import Convolutional, Dense

    shared = (inspect.signature(each).parameters for each in (LitAutoencoder, Convolutional, Dense))
    return set(arguments(kind)).union(*shared) - {"network", "sample_shape", "bounded"}


def trainer_config(name: str) -> Yaml:
    """Return configs/trainer/<name>.yaml: the Trainer's arguments, checked against it, and OWN."""
    from pytorch_lightning import Trainer

    path = CONFIGS / "trainer" / f"{checked(name)}.yaml"
    allowed = set(inspect.signature(Trainer).parameters) - {
        "logger", "callbacks", "default_root_dir", "max_epochs", "enable_progress_bar"
    }  # fmt: skip
    values = read(path, sorted(allowed | OWN.keys()))
    resolve(Trainer, {key: values[key] for key in values.keys() - OWN.keys()}, path.as_posix())
    for key in sorted(values.keys() & OWN.keys()):
        if values[key] not in OWN[key]:
            known = ", ".join(OWN[key])
            raise Refusal(f"{path.as_posix()}: {key} is {values[key]!r}; give one of {known}.")
    return values
