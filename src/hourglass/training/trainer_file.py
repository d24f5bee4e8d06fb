"""The trainer's file, configs/trainer/<name>.yaml: its check, and the objects that it describes."""

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import CONFIGS, valid_name
from hourglass.core.settings import EXTRA_TRAINER_KEYS
from hourglass.core.yaml_config import (
    Yaml,
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
