"""The settings of one cell, resolved from its YAML files and checked against the constructors."""

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import CONFIGS, Cell, valid_name
from hourglass.core.settings import (
    EXTRA_TRAINER_KEYS,
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
    read,
    resolve,
)

# Keys of a trainer file with lists of objects by class_path, and the base classes of these.
PLUGINS = {
    "logger": "pytorch_lightning.loggers.Logger",
    "callbacks": "pytorch_lightning.Callback",
}
# Strategies whose processes return the history and hold all weights.
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")
# The duration of a training in epochs, and its bounds in optimiser steps.
EPOCHS, MIN_STEPS, MAX_STEPS = 100, 1000, 20_000
DURATION = "the duration of a training belongs in configs/data/<name>.yaml, training, as max_epochs"
VALIDATION = (
    "every epoch is validated once, at its end, to find the best weights; remove the setting"
)
SET_BY_HOURGLASS = "Hourglass needs to set it; remove the setting"
POSITIVE = "it must be positive"
# Per argument of Lightning's Trainer, the values that trainings of cells support, as a condition,
# and the message for all other values.
SUPPORTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "accumulate_grad_batches": (lambda value: (value or 0) >= 1, POSITIVE),
    "barebones": (lambda value: not value, SET_BY_HOURGLASS),
    "check_val_every_n_epoch": (lambda value: value == 1, VALIDATION),
    "default_root_dir": (lambda value: False, SET_BY_HOURGLASS),
    "enable_checkpointing": (lambda value: value is not False, SET_BY_HOURGLASS),
    "enable_progress_bar": (lambda value: False, SET_BY_HOURGLASS),
    "gradient_clip_val": (lambda value: value is None or value >= 0, POSITIVE),
    "limit_train_batches": (lambda value: value != 0, POSITIVE),
    "limit_val_batches": (lambda value: value != 0, VALIDATION),
    "max_epochs": (lambda value: False, DURATION),
    "max_steps": (lambda value: value == -1, DURATION),
    "strategy": (
        lambda value: value in STRATEGIES,
        "the training of a cell needs all weights in each process; use 'ddp' or 'auto'",
    ),
    # The integer 1 is one batch; the number 1.0 is one epoch.
    "val_check_interval": (lambda value: value is None or repr(value) == "1.0", VALIDATION),
}


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


def trainer_config(name: str) -> Yaml:
    """Read and check configs/trainer/<name>.yaml: Trainer's arguments and EXTRA_TRAINER_KEYS.

    Raises a UserError that names the file and the key.
    """
    from pytorch_lightning import Trainer

    path = CONFIGS / "trainer" / f"{valid_name(name)}.yaml"
    source, values = path.as_posix(), read(path, None)
    lightning = inspect.signature(Trainer).parameters
    check_keys(values, sorted(lightning.keys() | EXTRA_TRAINER_KEYS.keys()), source)
    for key, choices in EXTRA_TRAINER_KEYS.items():
        if key in values and values[key] not in choices:
            names = ", ".join(map(str, choices))
            raise UserError(f"{source}: {key} is {values[key]!r}; give one of {names}.")
    for key in PLUGINS:
        list(_resolve_plugins(values.get(key), key, f"{source}, {key}"))
    others = values.keys() - EXTRA_TRAINER_KEYS.keys() - PLUGINS.keys()
    resolve(Trainer, {key: values[key] for key in others}, source)
    for key, (supports, reason) in SUPPORTED.items():
        if key in values and not supports(values[key]):
            raise UserError(f"{source}: {key} is {values[key]!r}, but {reason}.")
    return values


def build_plugins(config: Any, key: str) -> list[Any]:
    """Return the callbacks or loggers that a trainer file describes under `key`."""
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    refusals = (MisconfigurationException, ImportError, ValueError, TypeError, RuntimeError)
    plugins, source = [], f"{key} of the trainer"
    for kind, init_args in _resolve_plugins(config, key, source):
        try:
            plugins.append(construct(kind, init_args, source))
        except refusals as error:
            reason = one_line(error)
            raise UserError(f"{source}: {kind.__name__} cannot be made ({reason}).") from None
    return plugins


def _resolve_plugins(config: Any, key: str, source: str) -> Iterator[tuple[type, Yaml]]:
    """Yield the class and the checked init_args of each {class_path, init_args} in a list."""
    if config is not False and not isinstance(config, list | None):
        raise UserError(f"{source} is {config!r}, but must be a list of class_path and init_args.")
    base_module, _, base_name = PLUGINS[key].rpartition(".")
    for plugin in config or []:
        check_keys(mapping(plugin, source), ("class_path", "init_args"), source)
        class_path = plugin.get("class_path", "")
        kind = _plugin_class(class_path, getattr(import_module(base_module), base_name), source)
        yield kind, resolve(kind, plugin.get("init_args"), f"{source}, {class_path}")


def _plugin_class(class_path: Any, base: type, source: str) -> type:
    """Import a subclass of `base` from Lightning or from a trusted module."""
    module, _, name = str(class_path).rpartition(".")
    if not f"{module}.".startswith("pytorch_lightning."):
        return import_class(class_path, base, source)
    try:
        cls = getattr(import_module(module), name, None)
    except ImportError:
        cls = None
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UserError(
            f"{source}: class_path {class_path!r} is not a {base.__name__}; name a class of "
            "pytorch_lightning or of a trusted module."
        )
    return cls
