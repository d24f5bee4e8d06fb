"""One variant, trained on the samples of one class."""

import math
from dataclasses import replace

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.datamodule import Codes, DataModule
from hourglass.data.prepared import Split
from hourglass.data.scaling import Scaling
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Network
from hourglass.training.cell_settings import CellSettings
from hourglass.training.cpu_tuning import tuned_to
from hourglass.training.trainer import bare_trainer, make_module


class Members(DataModule):
    """Serve the samples that a network is to learn, and no others of their data set."""

    def __init__(
        self, data: str, x: np.ndarray, scaling: Scaling, batch_size: int, seed: int
    ) -> None:
        # Batches of about equal size: a last one of some samples would weigh as much as the rest.
        batches = math.ceil(len(x) / batch_size)
        super().__init__(data, math.ceil(len(x) / batches), seed)
        self.x = x
        self.scaling = scaling

    def samples(self, name: Split) -> tuple[np.ndarray, Scaling]:
        """Return members, (n, *S), whatever the split, and how they are scaled."""
        return self.x, self.scaling


def trained(settings: CellSettings, x: np.ndarray, scaling: Scaling) -> Network:
    """Return a network trained on unscaled samples, (n, *S), in evaluation mode.

    It takes all of `max_epochs`: no sample is left to validate with. The same arguments give the
    same weights. Raises a UserError where the loss is not finite.
    """
    module = make_module(settings)
    # A copy: torch warns of read-only arrays.
    members = Members(
        settings.data, np.array(x), scaling, settings.training.batch_size, settings.seed
    )
    for phase in module.phases():
        training = replace(settings.training, max_epochs=phase.max_epochs)
        _fit(replace(settings, training=training), phase.module, Codes(members, phase.below))
    _fit(settings, module, members)
    return module.network.eval().requires_grad_(False)


def _fit(settings: CellSettings, module: LitAutoencoder, data: DataModule) -> None:
    # On one device: processes that Lightning starts would each rank by themselves.
    alone = settings.trainer | {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    trainer = bare_trainer(
        **(alone | {"limit_val_batches": 0}),
        max_epochs=settings.training.max_epochs,
        enable_checkpointing=False,
    )
    elements = data.batch_size * math.prod(module.network.sample_shape)
    with tuned_to(trainer.strategy.root_device, elements):
        trainer.fit(module, datamodule=data)
    loss = float(trainer.callback_metrics["train_loss"])
    if not math.isfinite(loss):
        raise UserError(
            f"the loss of {settings.data}-{settings.model} on one class became {loss}; lower "
            f"learning_rate (now {module.learning_rate}) or check the data's scaling."
        )
