"""Stacked autoencoder: greedy layer-wise pre-training, then training of the whole network."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from hourglass import networks
from hourglass.core.errors import UserError
from hourglass.models import penalties
from hourglass.models.base import LitAutoencoder, Phase
from hourglass.models.corruption import IMAGES_ONLY


class Stacked(LitAutoencoder):
    """Pre-train each layer as a separate autoencoder, then train all layers together.

    Layer k learns to reproduce the codes of layer k - 1 (Bengio et al. 2007) for up to
    `pretrain_epochs` epochs: from corrupted codes if `noise_factor`, `salt_and_pepper` or `masking`
    is above 0 (Vincent et al. 2010), and with a contractive penalty if `contraction` is above 0
    (Rifai et al. 2011). The whole network is then trained on samples, initialised with the layers'
    weights, with the same noise. As codes are not images, `grey`, `downsampling` and `block` apply
    only to the first layer and to the whole network.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        hidden: Sequence[int] = (256, 128),
        activation: networks.Activation = "sigmoid",
        code_activation: networks.Activation = "sigmoid",
        tied: bool = False,
        masking: float = 0.25,
        contraction: float = 0.0,
        pretrain_epochs: int = 15,
        **training: Any,
    ) -> None:
        if pretrain_epochs < 1:
            raise UserError(f"pretrain_epochs is {pretrain_epochs}, but must be at least 1.")
        bounded = networks.is_image(sample_shape)
        network = networks.Dense(
            sample_shape, latent_dim, hidden, activation, code_activation, tied, bounded
        )
        super().__init__(network, masking=masking, **training)
        self.layer_settings = {"masking": masking, "contraction": contraction, **training}
        self.upper_layer_settings = {
            key: value for key, value in self.layer_settings.items() if key not in IMAGES_ONLY
        }
        self.activations = [activation] * len(hidden) + [code_activation]
        self.tied = tied
        self.pretrain_epochs = pretrain_epochs

    def phases(self) -> Iterator[Phase]:
        """Yield a phase per layer, lowest first; copy its weights to the network after training."""
        # Encoder: Flatten, then Linear and activation per layer. Decoder: the mirror image.
        encoder, decoder = _modules(self.network.encoder), _modules(self.network.decoder)
        shapes = [self.network.sample_shape, *((linear.out_features,) for linear in encoder[1::2])]
        for k, (shape, (width,)) in enumerate(pairwise(shapes)):
            input_activation = self.activations[k - 1] if k else None
            settings = self.upper_layer_settings if k else self.layer_settings
            layer = Layer(
                shape, width, self.activations[k], self.tied, input_activation, **settings
            )
            layer_linears = _modules(layer.network.encoder)[1], _modules(layer.network.decoder)[0]
            network_linears = encoder[2 * k + 1], decoder[-2 - 2 * k]
            _copy_weights(network_linears, layer_linears)
            below = nn.Sequential(*encoder[: 2 * k + 1]) if k else nn.Identity()
            yield Phase(f"layer_{k + 1}", layer, below, self.pretrain_epochs)
            _copy_weights(layer_linears, network_linears)


def _modules(sequence: nn.Module) -> list[Any]:
    return list(sequence.children())


def _copy_weights(source: Sequence[nn.Module], target: Sequence[nn.Module]) -> None:
    for module, copy in zip(source, target, strict=True):
        copy.load_state_dict(module.state_dict())


class Layer(LitAutoencoder):
    """Train one layer to reproduce samples, or the codes of the layer below.

    `input_activation` is that of the layer below; None if the inputs are samples.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        activation: networks.Activation,
        tied: bool,
        input_activation: networks.Activation | None,
        contraction: float = 0.0,
        **training: Any,
    ) -> None:
        if not contraction >= 0:
            raise UserError(f"contraction is {contraction}, but must be 0 or more.")
        if input_activation:
            bounded = input_activation == "sigmoid"
        else:
            bounded = networks.is_image(sample_shape)
        if not bounded:
            training["loss"] = "mse"
        network = networks.Dense(
            sample_shape, latent_dim, (), activation, activation, tied, bounded
        )
        super().__init__(network, **training)
        self.contraction = contraction

    def penalty(self, x: Tensor, z: Tensor) -> Tensor | float:
        """Return the weighted norm of the layer's Jacobian at clean inputs, (N, *S)."""
        if not self.contraction:
            return 0.0
        _, linear, activation = self.network.encoder.children()
        norm = penalties.layer_frobenius(linear, activation, x.flatten(1))  # type: ignore[arg-type]
        return self.contraction * norm.mean() / x[0].numel()
