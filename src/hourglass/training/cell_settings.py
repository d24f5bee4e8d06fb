"""The settings of one cell, resolved from its YAML files and checked against the constructors."""

import inspect
import math
from dataclasses import asdict, dataclass

from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.settings import (
    Residency,
    cell_config,
    data_config,
    model_config,
    params,
)
from hourglass.core.yaml_config import (
    Yaml,
    arguments,
    check_keys,
    construct,
    import_class,
    mapping,
    resolve,
)
from hourglass.training.trainer_file import trainer_config

# The duration of a training in epochs, and its bounds in optimiser steps.
EPOCHS, MIN_STEPS, MAX_STEPS = 100, 1000, 20_000


@dataclass(frozen=True)
class Training:
    """Duration and batch size of the trainings on a data set.

    `batch_size` is the number of samples per optimiser step over all devices. Training stops after
    `max_epochs`, or once the validation error has not improved for `patience` epochs.
    """

    batch_size: int = 64
    max_epochs: int = 100
    patience: int = 10

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True)
class TrainingPlan:
    """The section `training` of a data set, from which a number of rows makes a `Training`.

    The duration is `max_epochs`, if given. Otherwise it is EPOCHS, or more, if these are fewer than
    `min_steps` optimiser steps, and fewer, if they are more than `max_steps`: EPOCHS of a table of
    100 rows are too few steps. Given bounds also hold for given epochs. Without `patience`,
    training stops after a fifth of the epochs without improvement, but no fewer than 10.
    """

    batch_size: int = 64
    max_epochs: int | None = None
    patience: int | None = None
    min_steps: int | None = None
    max_steps: int | None = None

    def __post_init__(self) -> None:
        _require_positive(self)
        if self.max_steps is not None and (self.min_steps or 0) > self.max_steps:
            raise UserError(
                f"min_steps is {self.min_steps}, but must not be above max_steps, {self.max_steps}."
            )

    def training(self, rows: int) -> Training:
        """Return the duration in epochs for a number of rows to train on."""
        steps_per_epoch = math.ceil(rows / self.batch_size)
        low, high = self.min_steps, self.max_steps
        if self.max_epochs is None:
            low = MIN_STEPS if low is None else low
            high = max(MAX_STEPS, low) if high is None else high
            low = min(low, high)
        epochs = max(self.max_epochs or EPOCHS, math.ceil((low or 1) / steps_per_epoch))
        if high is not None:
            epochs = min(epochs, math.ceil(high / steps_per_epoch))
        return Training(self.batch_size, epochs, self.patience or max(10, epochs // 5))


def _require_positive(settings: Training | TrainingPlan) -> None:
    """Raise a UserError for the first setting below 1."""
    for name, value in asdict(settings).items():
        if value is not None and value < 1:
            raise UserError(f"{name} is {value}, but must be at least 1.")


@dataclass(frozen=True)
class CellSettings:
    """All settings that decide the result of a cell's training, resolved."""

    data: str
    model: str
    class_path: str
    init_args: Yaml
    training: Training
    trainer: Yaml
    seed: int

    @property
    def residency(self) -> Residency:
        """Return the residency of samples in training, from the trainer file; "auto" by default."""
        residency: Residency = self.trainer.get("residency", "auto")
        return residency


def resolve_cell(cell: Cell, sample_shape: tuple[int, ...], train_rows: int) -> CellSettings:
    """Return the settings of a cell, checked against the constructors of variant and Trainer.

    `train_rows` is the number of samples to train on, which turns steps into epochs.

    The variant's init_args come from these sources; a later one overrides an earlier one:

    1. the defaults of the variant's constructor
    2. the data set's `model:` section, except settings that other variants have
    3. the variant's file
    4. the cell's file

    Raises a UserError that names the file and the setting. Imports Lightning.
    """
    from hourglass.models.base import LitAutoencoder

    project, data_set, variant = params(), data_config(cell.data), model_config(cell.model)
    data_file, model_file = f"configs/data/{cell.data}.yaml", f"configs/model/{cell.model}.yaml"
    kind = import_class(variant.get("class_path", ""), LitAutoencoder, model_file)
    fixed = {"sample_shape": list(sample_shape)}
    init_args = suited_to(kind, data_set.get("model"), f"{data_file}, model")
    init_args |= mapping(variant.get("init_args"), f"{model_file}, init_args")
    if cell_args := mapping(cell_config(cell).get("init_args"), f"{cell.config}, init_args"):
        # A separate check, so that an error names the cell's file.
        resolve(kind, cell_args, f"{cell.config.as_posix()}, init_args", fixed)
    training = resolve(TrainingPlan, data_set.get("training"), f"{data_file}, training")
    plan: TrainingPlan = construct(TrainingPlan, training, f"{data_file}, training")
    return CellSettings(
        data=cell.data,
        model=cell.model,
        class_path=variant["class_path"],
        init_args=resolve(kind, init_args | cell_args, f"{model_file} on {cell.data}", fixed),
        training=plan.training(train_rows),
        trainer=trainer_config(project.trainer),
        seed=project.seed,
    )


def suited_to(kind: type, values: Yaml | None, source: str) -> Yaml:
    """Select the settings that a variant's constructor accepts from a data set's `model:` section.

    Raises a UserError for a setting unknown to this variant and to all networks, and for a value of
    the wrong type.
    """
    values, names = mapping(values, source), set(arguments(kind))
    check_keys(values, sorted(known_settings(kind)), source)
    suited = {key: value for key, value in values.items() if key in names}
    resolve(kind, suited, source, {"sample_shape": [1]})
    return suited


def known_settings(kind: type) -> set[str]:
    """Return the names of the settings of this variant and of all networks."""
    from hourglass.models.base import LitAutoencoder
    from hourglass.networks import Convolutional, Dense

    names = set(arguments(kind))
    for cls in (LitAutoencoder, Convolutional, Dense):
        names |= inspect.signature(cls).parameters.keys()
    return names - {"network", "sample_shape", "bounded"}
