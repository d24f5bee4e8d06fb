"""Stacked autoencoder: greedy layer-wise pre-training, then training of the whole network."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from torch import Tensor, nn

from hourglass import networks
from hourglass.models import penalties
from hourglass.models.base import LitAutoencoder, Phase
from hourglass.models.corruption import NOT_OF_VECTORS
from hourglass.models.losses import ElementLoss
from hourglass.networks.base import require_at_least


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
        require_at_least(1, pretrain_epochs=pretrain_epochs)
        bounded = networks.is_image(sample_shape)
        network = networks.Dense(
            sample_shape, latent_dim, hidden, activation, code_activation, tied, bounded
        )
        super().__init__(network, masking=masking, **training)
        self.layer_settings = {"masking": masking, "contraction": contraction, **training}
        self.upper_layer_settings = {
            key: value for key, value in self.layer_settings.items() if key not in NOT_OF_VECTORS
        }
        self.activations = [activation] * len(hidden) + [code_activation]
        self.tied = tied
        self.pretrain_epochs = pretrain_epochs

    def phases(self) -> Iterator[Phase]:
        """Yield a phase per layer, lowest first; copy its weights to the network after training."""
        # Encoder: Flatten, then Linear and activation per layer. Decoder: the mirror image.
        encoder: Any = self.network.encoder
        decoder: Any = self.network.decoder
        for k, linear in enumerate(encoder[1::2]):
            layer = Layer(
                (linear.in_features,) if k else self.network.sample_shape,
                linear.out_features,
                self.activations[k],
                self.tied,
                self.activations[k - 1] if k else None,
                **self.upper_layer_settings if k else self.layer_settings,
            )
            if not k and self.network.heads:
                layer.add_heads(self.network.heads.columns)
            part: Any = layer.network
            pairs = [(part.encoder[1], linear), (part.decoder[0], decoder[-2 - 2 * k])]
            for own, whole in pairs:
                own.load_state_dict(whole.state_dict())
            below = encoder[: 2 * k + 1] if k else nn.Identity()
            yield Phase(f"layer_{k + 1}", layer, below, self.pretrain_epochs)
            for own, whole in pairs:
                whole.load_state_dict(own.state_dict())


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
        require_at_least(0, contraction=contraction)
        is_unit_range = input_activation == "sigmoid"
        bounded = is_unit_range if input_activation else networks.is_image(sample_shape)
        is_element_loss = training.get("loss", "mse") in get_args(ElementLoss)
        if not bounded or (input_activation and not is_element_loss):
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
        inputs = self.network.flat_inputs(x)
        norm = penalties.layer_frobenius(linear, activation, inputs)  # type: ignore[arg-type]
        return self.contraction * norm.mean() / x[0].numel()
