"""One forward pass of a batch, computed on demand and shared by several scorers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, mse_loss

from hourglass.core.errors import UserError
from hourglass.data.table_encoding import is_within
from hourglass.networks import Network
from hourglass.networks.base import EnsembleNetwork
from hourglass.networks.heads import all_finite, column_mean

EXTREME_INPUT = 4.0  # standard deviations


class lazy:  # noqa: N801  (a decorator)
    """A property that is computed at its first access and cached.

    Before Python 3.12, functools.cached_property holds one lock per class, so threads that score
    batches in parallel would wait for each other.
    """

    def __init__(self, function: Callable[[Any], Tensor]) -> None:
        self.function = function

    def __get__(self, instance: object, owner: type) -> Tensor:
        """Return the value and store it in the instance, which shadows this descriptor."""
        value = self.function(instance)
        vars(instance)[self.function.__name__] = value
        return value


@dataclass(frozen=True)
class ForwardCache:
    """The intermediate results of a network for one batch of scaled samples."""

    network: Network
    x: Tensor  # (N, *S), scaled
    # The networks get at least this number of rows, so that a score does not depend on the number
    # of samples in a small batch: libraries choose their kernels by it, which changes last bits.
    min_rows: int = 1

    @lazy
    def code(self) -> Tensor:
        """Return the latent codes, (N, latent_dim), or feature maps, (N, C, H, W)."""
        return self._apply(self.network.encode, self.inputs)

    @lazy
    def z(self) -> Tensor:
        """Return the latent codes as vectors, (N, latent_dim)."""
        return self.code.flatten(1)

    @lazy
    def logits(self) -> Tensor:
        """Return the outputs before the output activation, (N, *S)."""
        return self._apply(self.network.decode_logits, self.code)

    @lazy
    def output(self) -> Tensor:
        """Return the reconstructions, (N, *S)."""
        if type(self.network).forward is not Network.forward:  # such as a quantisation of the codes
            return self._apply(self.network, self.inputs)
        return self.network.output(self.logits)

    @lazy
    def member_logits(self) -> Tensor:
        """Return the outputs of an ensemble's members before the activation, (N, members, *S)."""
        assert isinstance(self.network, EnsembleNetwork)
        return self._apply(self.network.member_logits, self.code)

    @property
    def table_output(self) -> Tensor:
        """Return the outputs that the losses of a table's columns take, (N, F)."""
        heads = self.network.heads
        assert heads is not None
        return self.output if heads.is_plain else self.logits

    @lazy
    def usual_output(self) -> Tensor:
        """Return `table_output` of the rows with their mean in place of extreme numbers, (N, F).

        Extreme numbers among the inputs would distort the outputs of all columns. Without one, it
        is `table_output` itself. Vectors have no heads, and their large numbers are usual.
        """
        if self.network.heads is None:
            return self.output
        if is_within(self.x, EXTREME_INPUT):
            return self.table_output
        usual = self.x.masked_fill(self.x.abs() > EXTREME_INPUT, 0)
        return ForwardCache(self.network, usual, self.min_rows).table_output

    @lazy
    def target(self) -> Tensor:
        """Return what the network reconstructs, (N, *target_shape): the samples by default."""
        return self.network.target(self.x)

    @property
    def inputs(self) -> Tensor:
        """Return what the network encodes: the samples, or once computed, features of them."""
        return self.x if self.network.reconstructs_samples else self.target

    @lazy
    def losses(self) -> Tensor:
        """Return the squared error of each element, or the loss of each column, (N, F).

        The losses of a series are (N, W, C). In a table, the loss of a missing cell may be NaN, see
        `TableHeads.losses`.
        """
        heads = self.network.heads
        if heads:
            return heads.losses(self.x, self.table_output)
        return mse_loss(self.output, self.target, reduction="none").flatten(1)

    def patch_losses(self, patch: int) -> Tensor:
        """Return the squared error of each pixel, predicted while its patch is hidden, (N, F).

        Patches are squares of `patch` pixels on a grid from the top left corner; those at the other
        edges may be smaller. Each takes a forward pass, one after the other. A hidden pixel is NaN
        if the network takes it, else 0. Raises a UserError if the network does not reconstruct
        pixels.
        """
        name, network = f"patch_losses_{patch}", self.network
        if not network.reconstructs_samples:
            raise UserError(
                "this network reconstructs features of images, so hidden pixels have no error; use "
                "another `score`."
            )
        if name not in vars(self):
            losses, value = torch.zeros_like(self.x), torch.nan if network.takes_hidden else 0.0
            for place in patches(network.sample_shape, patch):
                hidden = self.x.clone()
                hidden[place] = value
                output = ForwardCache(network, hidden, self.min_rows).output
                losses[place] = (output[place] - self.x[place]).square()
            vars(self)[name] = losses.flatten(1)
        return vars(self)[name]

    @property
    def sample_losses(self) -> Tensor:
        """Return `losses` of the elements of the samples, (N, F).

        If the network reconstructs features of images, the loss of a pixel is the mean loss of the
        features at its position.
        """
        network = self.network
        if network.reconstructs_samples:
            return self.losses
        maps = self.losses.unflatten(1, network.target_shape).mean(1, keepdim=True)
        channels, *sides = network.sample_shape
        maps = interpolate(maps, sides, mode="bilinear", align_corners=False)
        return maps.expand(-1, channels, -1, -1).flatten(1)

    @lazy
    def expected_losses(self) -> Tensor:
        """Return `losses`, but the expected loss of a missing category or boolean, (N, F)."""
        heads, losses = self.network.heads, self.losses
        if not heads or heads.is_plain:
            return losses
        if all_finite(losses):
            return losses
        return torch.where(losses.isnan(), heads.expected_losses(self.logits), losses)

    @lazy
    def error(self) -> Tensor:
        """Return the mean squared error per element, or the mean loss per column, (N,).

        Those of a series are per step, (N, W, 1).
        """
        error = column_mean(self.losses) if self.network.heads else self.losses.mean(1)
        return error[..., None] if error.ndim == 2 else error

    @lazy
    def score(self) -> Tensor:
        """Return the network's score, (N,)."""
        if type(self.network).score is Network.score:  # the mean squared error, which may be cached
            return self.error
        return self._apply(self.network.score, self.inputs)

    def _apply(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """Apply a function to at least `min_rows` rows, the last of them zeros."""
        if self.min_rows == 1:  # len() would fix the number of rows of an ONNX export
            return function(rows)
        missing = self.min_rows - len(rows)
        if missing <= 0:
            return function(rows)
        zeros = rows.new_zeros(missing, *rows.shape[1:])
        return function(torch.cat([rows, zeros]))[: len(rows)]


def patches(sample_shape: Sequence[int], patch: int) -> Iterator[tuple[slice, ...]]:
    """Yield the index of each patch of images, (N, C, H, W), row by row."""
    height, width = sample_shape[1:]
    for top, left in product(range(0, height, patch), range(0, width, patch)):
        yield slice(None), slice(None), slice(top, top + patch), slice(left, left + patch)


def by_step(output: Tensor) -> Tensor:
    """Return the outputs of a series by step, (N, F, W) -> (N, W, F); others are unchanged."""
    return output.transpose(1, 2) if output.ndim == 3 else output
