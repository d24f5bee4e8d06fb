"""Ensemble of autoencoders, by default wide denoising ones: the default of tables."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.core.yaml_config import construct, import_class, mapping, resolve
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Activation, Network, is_image
from hourglass.networks.base import EnsembleNetwork, require_at_least
from hourglass.networks.ensemble import Ensemble as DenseEnsemble
from hourglass.networks.mixed_ensemble import MixedEnsemble
from hourglass.networks.weights import describe

# Methods that change the training; one that overrides them cannot be trained with others.
OWN_TRAINING = (
    "after_training",
    "configure_optimizers",
    "on_train_epoch_end",
    "on_train_epoch_start",
    "on_train_start",
    "phases",
    "training_step",
)


class Ensemble(LitAutoencoder):
    """Minimise the denoising loss of each of several networks, trained in one batched pass.

    Each member has one hidden layer and a code of `width` units, more than a table has columns:
    noise prevents it from copying its input. The members differ in their initial weights, noise
    and samples: each trains on `batch_share` of each batch, drawn for it, so that
    a step costs in proportion to it. They reconstruct a sample by the mean of their outputs, and
    their codes are joined. With `connectivity` below 1, they also differ in their connections, of
    which this share exists, see `networks.ensemble.Ensemble`.

    `variants` replaces these members by other variants: the class_path and init_args of each,
    without `sample_shape`. Each has the loss and the corruption of its variant. One optimizer with
    the settings of the ensemble trains them all; other settings of the ensemble do not apply.
    Raises a UserError for a share outside (0, 1], or a variant with a training of its own.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        members: int = 4,
        width: int = 128,
        activation: Activation = "relu",
        connectivity: float = 1.0,
        batch_share: float = 0.25,
        noise_factor: float = 0.2,
        masking: float = 0.0,
        variants: list[dict[str, Any]] | None = None,
        **training: Any,
    ) -> None:
        require_at_least(1, members=members, width=width)
        if not 0 < batch_share <= 1:
            raise UserError(f"batch_share is {batch_share}, but must be above 0 and at most 1.")
        # A tuple, so that the weights of the networks are not registered twice.
        self._variants = tuple(_build(variant, sample_shape) for variant in variants or ())
        network: EnsembleNetwork
        if self._variants:
            network = _joined([variant.network for variant in self._variants], sample_shape)
        else:
            size, bounded = members * width, is_image(sample_shape)
            network = DenseEnsemble(sample_shape, size, members, activation, bounded, connectivity)
        super().__init__(network, noise_factor=noise_factor, masking=masking, **training)
        self.members, self.batch_share = members, batch_share

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the mean loss of the members, each with its own corruption of its samples."""
        if self._variants:
            return torch.stack([variant.training_loss(x) for variant in self._variants]).mean()
        clean = self.member_samples(x)
        inputs = torch.stack([self.corrupt(samples) for samples in clean])
        assert isinstance(self.network, DenseEnsemble)
        logits = self.network.decoder(self.network.encoder.members(inputs))
        if self.trim:  # of each member's samples
            losses = [self.logits_loss(*pair) for pair in zip(clean, logits, strict=True)]
            return torch.stack(losses).mean()
        return self.logits_loss(clean.flatten(0, 1), logits.flatten(0, 1))

    def member_samples(self, x: Tensor) -> Tensor:
        """Return the samples of a batch that each member trains on: (N, *S) -> (members, n, *S).

        The members share out permutations of the batch, so that samples are used equally often.
        """
        if self.batch_share == 1:
            return x.expand(self.members, *x.shape)
        rows = max(1, round(self.batch_share * len(x)))
        permutations = -(-self.members * rows // len(x))
        order = [torch.randperm(len(x), device=x.device) for _ in range(permutations)]
        return x[torch.cat(order)[: self.members * rows]].unflatten(0, (self.members, rows))

    def train(self, mode: bool = True) -> "Ensemble":
        """Set the mode of the variants as well."""
        for variant in self._variants:
            variant.train(mode)
        return super().train(mode)


def _build(variant: dict[str, Any], shape: Sequence[int]) -> LitAutoencoder:
    """Return a variant for samples of a shape; raise a UserError if it cannot be a member."""
    where = "variants"
    kind = import_class(variant.get("class_path", ""), LitAutoencoder, where)
    fixed = {"sample_shape": list(shape)}
    resolved = resolve(kind, mapping(variant.get("init_args"), where), where, fixed)
    member: LitAutoencoder = construct(kind, resolved, where)
    overrides = [getattr(kind, name) is not getattr(LitAutoencoder, name) for name in OWN_TRAINING]
    if any(overrides) or len([*member.parameters()]) > len([*member.network.parameters()]):
        raise UserError(
            f"variants: {kind.__name__} has a training of its own; name a variant that is trained "
            "by gradient steps of its network alone."
        )
    return member


def _joined(networks: list[Network], shape: Sequence[int]) -> MixedEnsemble:
    """Return an ensemble of these networks, not of copies of them."""
    joined = MixedEnsemble(shape, [describe(network) for network in networks], is_image(shape))
    joined.networks = nn.ModuleList(networks)
    return joined
