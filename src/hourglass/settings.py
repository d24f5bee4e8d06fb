"""Settings: YAML files are checked against the constructors they configure."""

import difflib
import inspect
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from hourglass.errors import Refusal
from hourglass.workspace import CONFIGS, PARAMS, Cell, checked

Yaml = dict[str, Any]


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


def read(path: Path, keys: Iterable[str]) -> Yaml:
    """Return the mapping in a YAML file, whose top level may hold `keys` only.

    Raises a Refusal where it is missing (with the names there are), malformed, or has other keys.
    """
    if not path.exists():
        names = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise Refusal(
            f"there is no {path.as_posix()}; {path.parent.name} is one of {', '.join(names)}, "
            "or write that file."
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refusal(f"{path.as_posix()} is no valid YAML: {_one_line(error)}.") from None
    if not isinstance(values, dict):
        raise Refusal(f"{path.as_posix()} holds no mapping, but a {type(values).__name__}.")
    refuse_unknown(values, keys, path.as_posix())
    return values


def refuse_unknown(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise a Refusal for the first of `given` that is not in `known`, with the nearest name."""
    known = list(known)
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
            raise Refusal(f"{where}: {key!r} is no setting here; {hint}")


def params() -> Yaml:
    """Return params.yaml, what cuts across experiments."""
    keys = ("data", "models", "seed", "trainer", "calibration")
    values = read(PARAMS, keys)
    for key in keys:
        if key not in values:
            raise Refusal(f"params.yaml lacks {key!r}; restore it from git.")
    return values


def data_config(data: str) -> Yaml:
    """Return configs/data/<data>.yaml."""
    keys = ("class_path", "init_args", "model", "training")
    return read(CONFIGS / "data" / f"{checked(data)}.yaml", keys)


def import_class(class_path: str, base: type, where: str) -> type:
    """Return the class at a dotted path, which must be a subclass of `base`."""
    module, _, name = str(class_path).rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        raise Refusal(f"{where}: class_path {class_path!r} cannot be imported.") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise Refusal(f"{where}: class_path {class_path!r} is no {base.__name__}.")
    return found


def resolve(kind: type, values: Yaml, where: str, fixed: Yaml | None = None) -> Yaml:
    """Return all constructor arguments of `kind`: `values` checked by type, defaults filled in.

    `fixed` are arguments that the caller gives and a file may not set.
    """
    parser = _parser(kind)
    names = [action.dest for action in parser._actions if action.dest != "help"]
    refuse_unknown(values, (name for name in names if name not in (fixed or {})), where)
    try:
        parsed = parser.parse_object({**values, **(fixed or {})})
    except (ArgumentError, TypeError, ValueError) as error:
        raise Refusal(f"{where}: {_one_line(error)}.") from None
    return parsed.as_dict()


def construct(kind: type, values: Yaml, where: str) -> Any:
    """Return an object of `kind` built from resolved `values`; a Refusal gets `where` in front."""
    parser = _parser(kind)
    try:
        arguments = parser.instantiate_classes(parser.parse_object(values))
        return kind(**dict(arguments.items()))
    except Refusal as refusal:
        raise Refusal(f"{where}: {refusal}") from None


def _parser(kind: type) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, fail_untyped=False)
    return parser


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def resolve_cell(cell: Cell, sample_shape: tuple[int, ...]) -> CellSettings:
    """Return the settings of a cell: what suits the data set, then what makes the variant.

    The data set's `model:` section serves every variant: a variant takes the settings it knows. The
    variant's own init_args come after it and win. Imports Lightning.

    Raises a Refusal that names the file and the setting.
    """
    from hourglass.models.base import LitAutoencoder

    own, shared = params(), data_config(cell.data)
    path = CONFIGS / "model" / f"{cell.model}.yaml"
    variant = read(path, ("class_path", "init_args"))
    kind = import_class(variant.get("class_path", ""), LitAutoencoder, path.as_posix())
    suited = suited_to(kind, shared.get("model") or {}, cell.data)
    init_args = suited | (variant.get("init_args") or {})
    where = f"{path.as_posix()} on {cell.data}"
    training = resolve(Training, shared.get("training") or {}, f"configs/data/{cell.data}.yaml")
    return CellSettings(
        data=cell.data,
        model=cell.model,
        class_path=variant["class_path"],
        init_args=resolve(kind, init_args, where, {"sample_shape": list(sample_shape)}),
        training=Training(**training),
        trainer=trainer_config(own["trainer"]),
        seed=own["seed"],
    )


def suited_to(kind: type, values: Yaml, data: str) -> Yaml:
    """Return those of a data set's `model:` settings that a variant's constructor takes.

    Raises a Refusal for a setting that neither this variant nor any network knows.
    """
    from hourglass.models.base import LitAutoencoder
    from hourglass.networks import Convolutional, Dense

    own = {action.dest for action in _parser(kind)._actions}
    everyones = own.union(
        *(inspect.signature(each).parameters for each in (LitAutoencoder, Convolutional, Dense))
    )
    refuse_unknown(
        values,
        sorted(everyones - {"help", "network", "sample_shape", "bounded"}),
        f"configs/data/{data}.yaml, model",
    )
    return {key: value for key, value in values.items() if key in own}


def trainer_config(name: str) -> Yaml:
    """Return the Trainer's arguments from configs/trainer/<name>.yaml, checked against it."""
    from pytorch_lightning import Trainer

    path = CONFIGS / "trainer" / f"{checked(name)}.yaml"
    allowed = set(inspect.signature(Trainer).parameters) - {
        "logger", "callbacks", "default_root_dir", "max_epochs", "enable_progress_bar"
    }  # fmt: skip
    values = read(path, sorted(allowed))
    resolve(Trainer, values, path.as_posix())
    return values
