"""Training of one network per class, and the reconstruction errors of all samples."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.progress_bar import ProgressBar
from hourglass.data.datamodule import CodesDataModule, DataModule
from hourglass.data.prepared_data import Split
from hourglass.data.scaling import Encoding
from hourglass.data.table_encoding import TableEncoding
from hourglass.detection import scoring
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Network
from hourglass.studies.label_errors.ranking import (
    Fit,
    LabelledDataset,
    assign_folds,
    cross_fitted_errors,
)
from hourglass.training.callbacks import SeedEpochs
from hourglass.training.cell_settings import CellSettings
from hourglass.training.cpu_tuning import tune_cpu
from hourglass.training.features import training_data
from hourglass.training.trainer import bare_trainer, make_module, restore_float32


def errors_under_classes(
    settings: CellSettings, samples: LabelledDataset, scaling: Encoding, folds: int
) -> np.ndarray:
    """Return the error of each sample under the network of each class, (N, C), cross-fitted.

    Cross-fitted: the networks that evaluate a sample were not trained on its fold.
    """
    errors = np.empty((len(samples.y), len(samples.classes)))
    fold = assign_folds(samples.y, folds, settings.seed)
    fits = cross_fitted_errors(samples.x, samples.y, fold, class_network_fit(settings, scaling))
    name, total = f"{settings.data}-{settings.model}", folds * len(samples.classes)
    for evaluated, label, values in ProgressBar(fits, name, total, unit=" networks"):
        errors[evaluated, label] = values
    return errors


def class_network_fit(settings: CellSettings, scaling: Encoding) -> Fit:
    """Return a function from unscaled samples of a class to the error function of their network.

    The error function raises a UserError if an error is not finite.
    """

    def fit(class_samples: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        network = train_network(settings, class_samples, scaling)

        def errors(x: np.ndarray) -> np.ndarray:
            values = scoring.errors(network, x, scaling)
            if not np.isfinite(values).all():
                raise UserError(
                    f"an error of {settings.data}-{settings.model} is not finite; lower "
                    "learning_rate or check the data's scaling."
                )
            return values

        return errors

    return fit


def train_network(settings: CellSettings, x: np.ndarray, scaling: Encoding) -> Network:
    """Return a network in evaluation mode, trained on unscaled samples, (n, *S).

    Training runs for all `max_epochs`, as there are no validation samples for early stopping. The
    same arguments give the same weights. Raises a UserError if the loss is not finite.
    """
    heads = scaling.heads if isinstance(scaling, TableEncoding) else None
    module = make_module(settings, heads)
    class_data = training_data(module.network, ClassDataModule(settings, x, scaling))
    for phase in module.phases():
        training = replace(settings.training, max_epochs=phase.max_epochs)
        _fit(
            replace(settings, training=training),
            phase.module,
            CodesDataModule(class_data, phase.lower_layers),
        )
    _fit(settings, module, class_data)
    return module.network.eval().requires_grad_(False)


class ClassDataModule(DataModule):
    """A data module of the samples of one class."""

    def __init__(self, settings: CellSettings, x: np.ndarray, scaling: Encoding) -> None:
        # Batches have equal size, as a small last batch would count as much as the others.
        batches = math.ceil(len(x) / settings.training.batch_size)
        super().__init__(settings.data, math.ceil(len(x) / batches), settings.seed)
        self.x = np.array(x)  # a copy, as torch warns of read-only arrays
        self.scaling = scaling

    def samples(self, name: Split) -> tuple[np.ndarray, Encoding]:
        """Return the same samples, (n, *S), for every split, and their scaling."""
        return self.x, self.scaling


def _fit(settings: CellSettings, module: LitAutoencoder, data: DataModule) -> None:
    # One device: with several, each of Lightning's processes would compute the whole ranking.
    overrides = {
        "devices": 1,
        "num_nodes": 1,
        "strategy": "auto",
        "limit_val_batches": 0,
        "enable_checkpointing": False,
        "logger": False,
        "callbacks": [SeedEpochs(settings.seed)],
    }
    options = settings.trainer | overrides
    trainer = bare_trainer(**options, max_epochs=settings.training.max_epochs)
    elements = data.batch_size * math.prod(module.network.sample_shape)
    with tune_cpu(trainer.strategy.root_device, elements):
        trainer.fit(module, datamodule=data)
    restore_float32(trainer, module)
    loss = float(trainer.callback_metrics["train_loss"])
    if not math.isfinite(loss):
        raise UserError(
            f"the loss of {settings.data}-{settings.model} on one class became {loss}; lower "
            f"learning_rate (now {module.learning_rate}) or check the data's scaling."
        )
