"""The base classes of networks, their activation functions, and checks of their settings."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hourglass.core.errors import UserError
from hourglass.networks.heads import FillMissing, TableHeads, WindowHeads, column_mean

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "identity"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
NONLINEAR = tuple(set(ACTIVATIONS.values()) - {nn.Identity})


def is_image(sample_shape: Sequence[int]) -> bool:
    """Return True for images, (C, H, W), whose pixels lie in [0, 1]."""
    return len(sample_shape) == 3


def is_series(sample_shape: Sequence[int]) -> bool:
    """Return True for windows of a time series: (F, W), F standardised inputs at W time steps."""
    return len(sample_shape) == 2


def require_series(network: str, sample_shape: Sequence[int]) -> None:
    """Raise a UserError if samples are not windows of a time series."""
    if not is_series(sample_shape):
        raise UserError(
            f"a sample has the shape {tuple(sample_shape)}, but {network} takes windows of a time "
            "series only, (inputs, steps); use another variant, such as convolutional."
        )


def require_at_least(minimum: float, **settings: float) -> None:
    """Raise a UserError for the first setting that is NaN or below the minimum."""
    for name, value in settings.items():
        if not value >= minimum:  # unlike `value < minimum`, this is True for NaN
            raise UserError(f"{name} is {value}, but must be at least {minimum}.")


def constructor_arguments(local_variables: dict[str, Any]) -> dict[str, Any]:
    """Return a constructor's arguments from its `locals()`, with lists for tuples, as in JSON."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in local_variables.items()
        if name not in ("self", "__class__")
    }


class Network(nn.Module):
    """Map samples to latent codes and back.

    A subclass sets `encoder` and `decoder`. `init_args` are the constructor arguments of the
    subclass. The class path, `init_args`, the columns of the heads and the weights are enough to
    rebuild the network.
    """

    has_sparse_codes: ClassVar[bool] = False  # whether few units of a code differ from 0
    takes_hidden: ClassVar[bool] = False  # whether elements may be NaN, which hides them
    heads: TableHeads | None  # of a table, see `add_heads`
    encoder: nn.Module  # (N, *S) -> (N, latent_dim), or feature maps, (N, C, H, W)
    decoder: nn.Module  # (N, latent_dim) -> (N, *S), before the output activation

    def __init__(self, **init_args: Any) -> None:
        super().__init__()
        self.init_args = init_args
        self.heads = None
        self.sample_shape = tuple(init_args["sample_shape"])
        self.latent_dim: int = init_args["latent_dim"]
        # If True, a sigmoid maps reconstructions to [0, 1], the range of pixels.
        self.bounded = bool(init_args.get("bounded", False))
        require_at_least(1, latent_dim=self.latent_dim)
        for name in ("hidden", "channels"):
            if min(init_args.get(name) or [1]) < 1:
                raise UserError(f"{name} is {init_args[name]}, but a layer needs at least 1 unit.")

    def add_heads(self, columns: list[dict[str, Any]]) -> None:
        """Adapt the network to a table: to missing cells, categories and booleans.

        `columns` describes the inputs of each column, see `TableEncoding.heads`. The encoder then
        takes inputs with NaN in missing cells.
        """
        heads = WindowHeads if is_series(self.sample_shape) else TableHeads
        self.use_heads(heads(columns))

    def use_heads(self, heads: TableHeads) -> None:
        """Set the heads, and let the encoder fill missing cells."""
        self.heads = heads
        if isinstance(self.encoder, nn.Sequential):
            self.encoder[0] = FillMissing(heads, self.encoder[0])
        else:
            self.encoder = FillMissing(heads, self.encoder)
        self.train(self.training)  # the new modules as well

    @property
    def target_shape(self) -> tuple[int, ...]:
        """The shape of `target` for one sample; by default that of the sample."""
        return self.sample_shape

    @property
    def reconstructs_samples(self) -> bool:
        """Return whether reconstructions are samples, not features of them."""
        return self.target_shape == self.sample_shape

    def target(self, x: Tensor) -> Tensor:
        """Return what the network reconstructs of `x`; by default `x` itself, (N, *S)."""
        return x

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent codes: (N, *S) -> (N, latent_dim)."""
        return self.encoder(x)

    def decode_logits(self, z: Tensor) -> Tensor:
        """Return reconstructions before the output activation: (N, latent_dim) -> (N, *S)."""
        return self.decoder(z)

    def decode(self, z: Tensor) -> Tensor:
        """Return the reconstructions of latent codes: (N, latent_dim) -> (N, *S)."""
        return self.output(self.decode_logits(z))

    def output(self, logits: Tensor) -> Tensor:
        """Apply the output activation: (N, *S) -> (N, *S)."""
        if self.heads:
            return self.heads.reconstruction(logits)
        return logits.sigmoid() if self.bounded else logits

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of `x`: (N, *S) -> (N, *S)."""
        return self.decode(self.encode(x))

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the input, the hidden activations of the encoder and the code, (N, F_i) each.

        If the encoder is not an `nn.Sequential`, there are no hidden activations.
        """
        activations, z = [self.flat_inputs(x)], x
        # The last layer is the activation of the code, which is appended below.
        for layer in self.encoder[:-1] if isinstance(self.encoder, nn.Sequential) else ():
            z = layer(z)
            if isinstance(layer, NONLINEAR):
                activations.append(z.flatten(1))
        return [*activations, self.encode_flat(x)]

    @cached_property
    def widest(self) -> int:
        """The number of elements per sample of the largest tensor in a forward pass."""
        x = next(self.parameters(), torch.empty(0)).new_zeros(1, *self.sample_shape)
        with torch.inference_mode(), _LargestTensor(self) as largest:
            self(x)
        return max(x.numel(), largest.elements)

    @cached_property
    def code_shape(self) -> tuple[int, ...]:
        """The shape of one sample's code: (latent_dim,), or (C, H, W) for a feature map."""
        x = next(self.parameters(), torch.empty(0)).new_zeros(1, *self.sample_shape)
        with torch.inference_mode():
            return tuple(self.encode(x).shape[1:])

    def flat_inputs(self, x: Tensor) -> Tensor:
        """Return inputs as vectors, with 0 in missing cells: (N, *S) -> (N, elements)."""
        return (self.heads.fill(x) if self.heads else x).flatten(1)

    def encode_flat(self, x: Tensor) -> Tensor:
        """Return the latent codes, feature maps flattened: (N, *S) -> (N, latent_dim)."""
        return self.encode(x).flatten(1)

    def decode_flat(self, z: Tensor) -> Tensor:
        """Return the reconstructions of codes of `encode_flat`: (N, latent_dim) -> (N, *S)."""
        return self.decode(z.unflatten(1, self.code_shape))

    def error(self, x: Tensor, encoder_input: Tensor | None = None) -> Tensor:
        """Return the reconstruction error: (N, *S) -> (N,).

        It is the mean squared error per element, or the mean loss per column of a table.
        `encoder_input`, such as a corrupted `x`, is encoded instead of `x`.
        """
        encoder_input = x if encoder_input is None else encoder_input
        if self.heads:
            return column_mean(self.heads.losses(x, self.logits(encoder_input)).flatten(1))
        return (self(encoder_input) - self.target(x)).square().flatten(1).mean(1)

    def logits(self, x: Tensor) -> Tensor:
        """Return the reconstruction of `x` before the output activation: (N, *S) -> (N, *S)."""
        return self.decode_logits(self.encode(x))

    def score(self, x: Tensor) -> Tensor:
        """Return the anomaly score, here the reconstruction error: (N, *S) -> (N,)."""
        return self.error(x)


class EnsembleNetwork(Network):
    """A network of several members: it joins their codes and averages their outputs."""

    @abstractmethod
    def member_logits(self, z: Tensor) -> Tensor:
        """Return the outputs of every member before the activation: (N, L) -> (N, members, *S)."""

    def decode_logits(self, z: Tensor) -> Tensor:
        """Return the mean output of the members: (N, latent_dim) -> (N, *S)."""
        return self.member_logits(z).mean(1)


class _LargestTensor(TorchFunctionMode):
    """Record the number of elements of the largest tensor returned by a torch function.

    Views of the network's parameters, such as the transposed weights of a tied decoder, do not
    count.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.elements = 0
        self.weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, tuple) else (output,):  # tuples: GRU, LSTM
            if isinstance(tensor, Tensor) and (
                tensor.untyped_storage().data_ptr() not in self.weights
            ):
                self.elements = max(self.elements, tensor.numel())
        return output
