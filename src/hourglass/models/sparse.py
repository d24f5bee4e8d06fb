"""Sparse autoencoder: a code with many units, few of them active per sample."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from hourglass import networks
from hourglass.core.errors import UserError
from hourglass.models import penalties
from hourglass.models.base import LitAutoencoder
from hourglass.models.dictionary_optimizer import (
    adapt_to_scale,
    dictionary_optimizer,
    reset_units,
)
from hourglass.models.dictionary_training import PENALISED, DictionaryTraining
from hourglass.models.schedules import with_schedule
from hourglass.networks.base import Network, require_at_least
from hourglass.networks.sparse import SparseDictionary
from hourglass.networks.sparse import Sparsity as DictionarySparsity

Sparsity: TypeAlias = Literal["kl"] | DictionarySparsity
WARMUP_SHARE = 0.1  # of the steps, in which the weight of a penalty rises from 0
RESAMPLING = (1 / 8, 1 / 4, 3 / 8, 1 / 2)  # of the epochs, as in Bricken et al. 2023
MAX_SAMPLES, MAX_BYTES = 8192, 1 << 26  # from which statistics of the samples are computed


class Sparse(LitAutoencoder):
    """Minimise the reconstruction loss of a code with few active units per sample.

    `sparsity` "kl" adds sparsity_weight / D * sum_j KL(target || mean activation of unit j over the
    batch) for sigmoid units (Ng 2011) and samples of D elements. All others train a
    `SparseDictionary`, whose decoder has one direction of norm 1 per unit:

    - "topk", "batch_topk": the `k` largest values per sample, on average over the batch for the
      latter (Gao et al. 2024; Bussmann et al. 2024)
    - "matryoshka": batch_topk, with nested dictionaries (Bussmann et al. 2025)
    - "jumprelu": a trained threshold per unit, with a penalty sparsity_weight * (L0 / k - 1)^2, L0
      being the mean number of active units (Rajamanoharan et al. 2024b)
    - "gated": a gate per unit; `sparsity_weight` * the L1 norm of the gates (Rajamanoharan et al.
      2024a)
    - "l1": rectified units; `sparsity_weight` * the L1 norm of the code (Bricken et al. 2023)

    With layers `hidden`, which only "kl" and "l1" take, or with `tied`, "l1" is the penalty
    sparsity_weight / D * sum_j |z_j| on the code of a dense network.

    A code of fewer than `k` units keeps all of them.
    Raises a UserError if a setting is out of range or does not apply to the sparsity.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 128,
        hidden: Sequence[int] = (),
        activation: networks.Activation = "relu",
        tied: bool = False,
        sparsity: Sparsity = "batch_topk",
        k: int = 8,
        target: float = 0.05,
        sparsity_weight: float = 3.0,
        **training: Any,
    ) -> None:
        if not 0 < target < 1:
            raise UserError(f"target is {target}, but a mean activation lies between 0 and 1.")
        require_at_least(0, sparsity_weight=sparsity_weight)
        is_deep = bool(hidden) or tied
        if is_deep and sparsity not in ("kl", "l1"):
            raise UserError(
                f"sparsity is {sparsity!r}, which takes one layer; set hidden to [] and tied to "
                "false, or use 'kl' or 'l1'."
            )
        network: Network
        if sparsity == "kl" or is_deep:
            code_activation: networks.Activation = "sigmoid" if sparsity == "kl" else "relu"
            bounded = networks.is_image(sample_shape)
            network = networks.Dense(
                sample_shape, latent_dim, hidden, activation, code_activation, tied, bounded
            )
        else:
            network = SparseDictionary(sample_shape, latent_dim, sparsity, min(k, latent_dim))
        super().__init__(network, **training)
        self.sparsity = sparsity
        self.target = target
        self.sparsity_weight = sparsity_weight
        self.dictionary: DictionaryTraining | None = None
        if isinstance(network, SparseDictionary):
            self.dictionary = DictionaryTraining(network, sparsity_weight)

    def penalty(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the weighted penalty of the codes `z`, (N, latent_dim), of a batch."""
        is_kl = self.sparsity == "kl"
        activity = penalties.kl_sparsity(z, self.target) if is_kl else penalties.l1(z)
        return self.sparsity_weight * activity / x[0].numel()

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the loss of one batch of clean inputs, (N, *S)."""
        if self.dictionary is None:
            return super().training_loss(x)
        return self.dictionary.loss(x, self.corrupt(x), self.logits_loss)

    def validation_step(self, batch: Any) -> Tensor:
        """Return the validation error of each sample, (N,), with the penalty of a dictionary.

        While the penalty's weight rises, codes are less sparse, and the error alone would be lower.
        """
        errors = super().validation_step(batch)
        if self.dictionary is not None and self.sparsity in PENALISED:
            errors = errors + self.dictionary.penalty(self.samples(batch))
        return errors

    def configure_optimizers(self) -> Any:
        """Return the Adam optimizer with the learning-rate schedule."""
        if self.dictionary is None:
            return super().configure_optimizers()
        optimizer = dictionary_optimizer(
            self, self.dictionary.network, self.learning_rate, self.weight_decay
        )
        return with_schedule(optimizer, self.schedule, self.warmup_epochs, self.trainer)

    def on_train_start(self) -> None:
        """Adapt a dictionary to the number and, unless resumed, the scale of the samples."""
        if self.dictionary is None:
            return
        trainer, batches = self.trainer, int(self.trainer.num_training_batches)
        x, batch_size = self._first_samples(self.dictionary.network)
        steps = batches * (trainer.max_epochs or 1)
        self.dictionary.warmup_steps = max(1, round(WARMUP_SHARE * steps))
        self.dictionary.dead_after = min(self.dictionary.dead_after, batches * batch_size)
        if not trainer.global_step:
            self.dictionary.start(x)
            schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
            variance = float(self.dictionary.variance)
            adapt_to_scale(trainer.optimizers[0], schedulers, variance, x.shape[1])

    def on_train_epoch_start(self) -> None:
        """Resample the dead units of "l1" at some epochs."""
        if self.dictionary is None or self.sparsity != "l1":
            return
        epochs = self.trainer.max_epochs or 1
        if self.trainer.current_epoch in {int(share * epochs) for share in RESAMPLING} - {0}:
            network = self.dictionary.network
            units = self.dictionary.resample(self._first_samples(network)[0])
            reset_units(self.trainer.optimizers[0], network, units)

    @torch.no_grad()
    def _first_samples(self, network: SparseDictionary) -> tuple[Tensor, int]:
        """Return the first samples of an epoch, flat, (N, D), and the size of a batch.

        All processes get the samples of the main process.
        """
        loader, processes = self.trainer.train_dataloader, self.trainer.world_size
        assert loader is not None
        most = max(2, min(MAX_SAMPLES, MAX_BYTES // (4 * len(network.b_dec))))
        rows: list[Tensor] = []
        for batch in loader:
            rows.append(network.flat_inputs(self.samples(batch).to(self.device)))
            if sum(map(len, rows)) >= most:
                break
        first = torch.cat(rows)[:most], len(rows[0]) * processes
        samples: tuple[Tensor, int] = self.trainer.strategy.broadcast(first)
        return samples
