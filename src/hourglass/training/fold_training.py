"""Training of a variant again on the folds of a cross-conformal calibration."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import yaml

from hourglass.core.yaml_config import import_class
from hourglass.data.prepared_data import Prepared
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Network
from hourglass.networks.weights import SETTINGS
from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.in_memory import train_in_memory
from hourglass.training.trainer_file import PLUGINS

SEVERAL_DEVICES = ("devices", "num_nodes", "strategy")


def fold_training(
    variant: type[LitAutoencoder], settings: CellSettings
) -> Callable[[Prepared], Network]:
    """Return the function that trains a variant on a fold, on one device."""
    dropped = {*PLUGINS, *SEVERAL_DEVICES}
    trainer = {key: value for key, value in settings.trainer.items() if key not in dropped}
    settings = replace(settings, trainer={**trainer, "devices": 1})
    return lambda prepared: train_in_memory(variant, settings, prepared)[0]


def read_fold_training(folder: Path) -> Callable[[Prepared], Network]:
    """Return the function of `fold_training` with the settings of the training in a folder."""
    values = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    settings = CellSettings(**{**values, "training": Training(**values["training"])})
    variant = import_class(settings.class_path, LitAutoencoder, (folder / SETTINGS).as_posix())
    return fold_training(variant, settings)
