"""Feature autoencoder: another variant, trained on the features of a frozen backbone."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.core.yaml_config import arguments, construct, import_class, mapping, resolve
from hourglass.models.base import LitAutoencoder, Phase
from hourglass.models.epoch_means import samples_of
from hourglass.networks.backbones import LITE0, weights_file
from hourglass.networks.feature import Feature as FeatureNetwork
from hourglass.networks.feature import FeatureMaps, Per, feature_sums, standardization
from hourglass.networks.weights import describe


class Feature(LitAutoencoder):
    """Reconstruct features of images instead of pixels (Shi et al. 2021).

    `variant` is the class_path and init_args of any variant, without `sample_shape`. Its
    corruption, penalty and loss apply to the features. It takes whole feature maps, or with `per`
    "position" the vector of each position; by default it is `linear`. `latent_dim` and the settings
    of the training are those of the variant, unless its init_args set them.

    `weights` is a local file with the weights of `backbone`, see `networks.backbones`; null uses
    those of the extra `features`. `layers`, `max_side` and `top_share` are those of
    `networks.feature.Feature`.
    """

    network: FeatureNetwork

    def __init__(
        self,
        sample_shape: Sequence[int],
        backbone: str = LITE0,
        weights: str | None = None,
        layers: list[str] | None = None,
        per: Per = "map",
        max_side: int = 16,
        top_share: float = 0.1,
        latent_dim: int = 128,
        variant: dict[str, Any] | None = None,
        **training: Any,
    ) -> None:
        maps = FeatureMaps(sample_shape, backbone, layers, max_side)
        shape = maps.map_shape if per == "map" else maps.map_shape[:1]
        inner = _build(variant or _linear(), shape, latent_dim, training)
        network = FeatureNetwork(
            sample_shape, describe(inner.network), backbone, layers, per, max_side, top_share
        )
        network.inner = inner.network
        path = weights_file(backbone, weights)
        network.init_args["backbone_sha256"] = network.maps.backbone.load_weights(path)
        super().__init__(network, **training)
        # A tuple, so that the weights of its network are not registered twice.
        self._variant = (inner,)

    @property
    def variant(self) -> LitAutoencoder:
        """The variant that is trained on the features."""
        return self._variant[0]

    def training_loss(self, x: Tensor) -> Tensor:
        """Return the variant's loss of one batch of images or of standardised features."""
        return self.variant.training_loss(self.network.inner_samples(x))

    def validation_step(self, batch: Any) -> Tensor:
        """Return the variant's validation error of each image of a batch, (N,)."""
        x = samples_of(batch)
        errors = self.variant.validation_step(self.network.inner_samples(x))
        return errors.unflatten(0, (len(x), self.network.positions)).mean(1)

    def reconstruction_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the mean squared error of reconstructing the features of `x` from codes `z`."""
        return nn.functional.mse_loss(self.decode(z), self.network.target(x))

    def train(self, mode: bool = True) -> "Feature":
        """Set the mode of the variant as well."""
        self.variant.train(mode)
        return super().train(mode)

    def phases(self) -> Iterator[Phase]:
        """Yield the pre-training phases of the variant, whose samples are features."""
        yield from self.variant.phases()

    def configure_optimizers(self) -> Any:
        """Return the optimizer of the variant."""
        self.variant.trainer = self.trainer
        return self.variant.configure_optimizers()

    def on_train_start(self) -> None:
        """Standardise the features, unless the batches hold features; start the variant."""
        self.variant.trainer = self.trainer
        self.variant.to(self.device)
        if not self.trainer.global_step:
            self._standardize()
        self.variant.samples = self.samples  # type: ignore[method-assign]
        self.variant.on_train_start()

    def samples(self, batch: Any) -> Tensor:
        """Return the samples of the variant from a batch of images or of features."""
        return self.network.inner_samples(samples_of(batch).to(self.device))

    def on_train_epoch_start(self) -> None:
        """Start the epoch of the variant."""
        self.variant.on_train_epoch_start()

    def on_train_epoch_end(self) -> None:
        """End the epoch of the variant, which may end the training."""
        self.variant.on_train_epoch_end()

    @torch.no_grad()
    def _standardize(self) -> None:
        """Set mean and standard deviation of the features to those of the training images."""
        loader = self.trainer.train_dataloader
        assert loader is not None
        sums: Tensor | None = None
        for batch in loader:
            x = samples_of(batch).to(self.device)
            if tuple(x.shape[1:]) == self.network.target_shape:
                return
            part = feature_sums(self.network.maps(x))
            sums = part if sums is None else sums + part
        if sums is not None:
            sums = self.trainer.strategy.reduce(sums, reduce_op="sum")
            self.network.standardize_by(*standardization(sums))


def _linear() -> dict[str, Any]:
    """Return the class path of the default variant."""
    from hourglass.models.linear import Linear

    path = f"{Linear.__module__}.{Linear.__qualname__}"
    return {"class_path": path, "init_args": {"tied": True}}


def _build(
    variant: dict[str, Any], shape: tuple[int, ...], latent_dim: int, training: dict[str, Any]
) -> LitAutoencoder:
    """Return the variant for features of a shape; raise a UserError if it does not take them.

    Settings of the training that are not the defaults of `LitAutoencoder` apply to the variant.
    """
    where = "variant"
    kind = import_class(variant.get("class_path", ""), LitAutoencoder, where)
    if issubclass(kind, Feature):
        raise UserError("variant is the feature autoencoder itself; name another variant.")
    names, defaults = arguments(kind), inspect.signature(LitAutoencoder).parameters
    given = {name: value for name, value in training.items() if value != defaults[name].default}
    values = {k: v for k, v in {"latent_dim": latent_dim, **given}.items() if k in names}
    values |= mapping(variant.get("init_args"), "variant, init_args")
    fixed = {"sample_shape": list(shape)}
    resolved = resolve(kind, values, where, fixed)
    inner: LitAutoencoder = construct(kind, resolved, where)
    if inner.loss != "mse":
        raise UserError(
            f"variant: loss is {inner.loss!r}, but features are not bound to [0, 1]; use 'mse'."
        )
    if share := inner.corruption.defects:
        raise UserError(
            f"variant: defects is {share}, but synthetic defects are those of pixels, not of "
            "features; remove the setting."
        )
    if "bounded" in inner.network.init_args:  # features have no bounds, unlike pixels
        inner.network.init_args["bounded"] = inner.network.bounded = False
    return inner
