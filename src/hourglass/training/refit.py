"""Training of a variant again on the folds of a cross-conformal calibration."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import yaml

from hourglass.core.yaml_config import import_class
from hourglass.data.prepared_data import Prepared
from hourglass.detection.folds import Refit, ScoreFunction
from hourglass.detection.scorers import Scorer
from hourglass.detection.scoring import FittedScorer
from hourglass.models.base import LitAutoencoder
from hourglass.networks.weights import SETTINGS
from hourglass.training.cell_settings import PLUGINS, CellSettings, Training
from hourglass.training.in_memory import train_in_memory

SEVERAL_DEVICES = ("devices", "num_nodes", "strategy")


def refit_of(
    variant: type[LitAutoencoder],
    settings: CellSettings,
    scorer: Callable[[Prepared], Scorer],
) -> Refit:
    """Return the function that trains a variant on a fold, on one device, and fits the scorer."""
    dropped = {*PLUGINS, *SEVERAL_DEVICES}
    trainer = {key: value for key, value in settings.trainer.items() if key not in dropped}
    settings = replace(settings, trainer={**trainer, "devices": 1})

    def refit(prepared: Prepared) -> ScoreFunction:
        network, _ = train_in_memory(variant, settings, prepared)
        x = prepared.x("train")
        return FittedScorer.fit(network, prepared.scaling, scorer(prepared), x)

    return refit


def read_refit(folder: Path, scorer: Scorer) -> Refit:
    """Return the function of `refit_of` with the settings of a training, from its folder."""
    values = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    settings = CellSettings(**{**values, "training": Training(**values["training"])})
    variant = import_class(settings.class_path, LitAutoencoder, (folder / SETTINGS).as_posix())
    return refit_of(variant, settings, lambda prepared: scorer)
