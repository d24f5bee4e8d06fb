"""One variant, trained on the samples of one class."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from hourglass.data.datamodule import Batches, resident_device
from hourglass.data.scaling import Scaling
from hourglass.errors import Refusal
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Network
from hourglass.settings import CellSettings
from hourglass.training.fitting import bare_trainer, make_module
from hourglass.training.threads import tuned_to


class Members(pl.LightningDataModule):
    """Serve shuffled, scaled batches of the samples that a network is to learn, and no others."""

    def __init__(self, x: Tensor, scaling: Scaling, batch_size: int, seed: int) -> None:
        super().__init__()
        self.x = x
        self.scaling = scaling
        # Batches of about equal size: a last one of some samples would weigh as much as the rest.
        self.batch_size = math.ceil(len(x) / math.ceil(len(x) / batch_size))
        self.seed = seed

    def train_dataloader(self) -> Batches:
        """Return the batches; their order is a function of seed and epoch."""
        assert self.trainer
        x = self.x.to(resident_device(self.x, self.trainer.strategy.root_device))
        return Batches(x, self.scaling, self.batch_size, shuffle=self._epoch_seed)

    def _epoch_seed(self) -> int:
        assert self.trainer
        return self.seed * 1_000_003 + self.trainer.current_epoch

    def encoded(self, below: Callable[[Tensor], Tensor]) -> "Members":
        """Return what serves the codes that `below` makes of the scaled samples, (n, units)."""
        with torch.no_grad():
            batches = Batches(self.x, self.scaling, self.batch_size)
            codes = torch.cat([below(batch) for batch in batches])
        as_they_are = Scaling("none", np.zeros((), np.float32), np.ones((), np.float32))
        return Members(codes, as_they_are, self.batch_size, self.seed)


def trained(settings: CellSettings, x: np.ndarray, scaling: Scaling) -> Network:
    """Return a network trained on unscaled samples, (n, *S), in evaluation mode.

    It takes all of `max_epochs`: no sample is left to validate with. The same arguments give the
    same weights. Raises a Refusal where the loss is not finite.
    """
    module = make_module(settings)
    # A copy: torch warns of read-only arrays.
    members = Members(
        torch.from_numpy(np.array(x)), scaling, settings.training.batch_size, settings.seed
    )
    for phase in module.phases():
        training = replace(settings.training, max_epochs=phase.max_epochs)
        _fit(replace(settings, training=training), phase.module, members.encoded(phase.below))
    _fit(settings, module, members)
    return module.network.eval().requires_grad_(False)


def _fit(settings: CellSettings, module: LitAutoencoder, members: Members) -> None:
    # On one device: processes that Lightning starts would each rank by themselves.
    alone = settings.trainer | {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    trainer = bare_trainer(
        **alone,
        max_epochs=settings.training.max_epochs,
        enable_checkpointing=False,
    )
    warnings.filterwarnings("ignore", ".*have no `val_dataloader`.*")
    elements = members.batch_size * members.x[0].numel()
    with tuned_to(trainer.strategy.root_device, elements):
        trainer.fit(module, datamodule=members)
    loss = float(trainer.callback_metrics["train_loss"])
    if not math.isfinite(loss):
        raise Refusal(
            f"the loss of {settings.data}-{settings.model} on one class became {loss}; lower "
            f"learning_rate (now {module.learning_rate}) or check the data's scaling."
        )
