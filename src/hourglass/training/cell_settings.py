"""The settings of one cell, resolved from its YAML files and checked against the constructors."""

import inspect
from dataclasses import asdict, dataclass

from hourglass.core.errors import UserError
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
    construct,
    import_class,
    mapping,
    read,
    refuse_unknown,
    resolve,
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
                raise UserError(f"{name} is {value}, but must be at least 1.")


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


def resolve_cell(cell: Cell, sample_shape: tuple[int, ...]) -> CellSettings:
    """Return the settings of a cell: what suits the data set, what makes the variant, its own.

    The data set's `model:` section serves every variant: a variant takes the settings it knows. The
    variant's init_args come after it and win, those of the cell come last. Imports Lightning.

    Raises a UserError that names the file and the setting.
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

    Raises a UserError for a setting that neither this variant nor any network knows, and for a value
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
    """Return configs/trainer/<name>.yaml: the Trainer's arguments, checked against it, and EXTRA_TRAINER_KEYS."""
    from pytorch_lightning import Trainer

    path = CONFIGS / "trainer" / f"{valid_name(name)}.yaml"
    allowed = set(inspect.signature(Trainer).parameters) - {
        "logger", "callbacks", "default_root_dir", "max_epochs", "enable_progress_bar"
    }  # fmt: skip
    values = read(path, sorted(allowed | EXTRA_TRAINER_KEYS.keys()))
    resolve(
        Trainer,
        {key: values[key] for key in values.keys() - EXTRA_TRAINER_KEYS.keys()},
        path.as_posix(),
    )
    for key in sorted(values.keys() & EXTRA_TRAINER_KEYS.keys()):
        if values[key] not in EXTRA_TRAINER_KEYS[key]:
            known = ", ".join(EXTRA_TRAINER_KEYS[key])
            raise UserError(f"{path.as_posix()}: {key} is {values[key]!r}; give one of {known}.")
    return values
