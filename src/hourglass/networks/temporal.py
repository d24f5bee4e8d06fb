"""The temporal convolutional network, for windows of time series."""

import math
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.networks.base import (
    Network,
    constructor_arguments,
    require_at_least,
    require_series,
)
from hourglass.networks.onednn_linear import Linear


class Temporal(Network):
    """Encode with dilated convolutions, pool over time, project; the decoder mirrors the encoder.

    `blocks` residual blocks of `width` channels have dilations 1, 2, 4, ... (Bai et al. 2018,
    without weight normalisation and dropout). As a window is complete when it is scored, the
    convolutions are centred and not causal. A step then sees 2 (kernel - 1) (2^blocks - 1) + 1
    steps. A convolution of size 1 leaves `narrow` channels, whose means over `pool` steps are
    projected to the code. The decoder repeats each value `pool` times and cuts the end off where
    `pool` does not divide the window (Thill et al. 2021).

    Raises a UserError if samples are not windows, (F, W), or if `kernel` is even.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        width: int = 32,
        blocks: int = 4,
        kernel: int = 3,
        narrow: int = 8,
        pool: int = 4,
    ) -> None:
        init_args = constructor_arguments(locals())
        require_series("a temporal convolutional network", sample_shape)
        require_at_least(1, width=width, blocks=blocks, kernel=kernel, narrow=narrow, pool=pool)
        if kernel % 2 == 0:
            raise UserError(
                f"kernel is {kernel}, but must be odd, as its centre is a step; use {kernel + 1}."
            )
        super().__init__(**init_args)
        inputs, steps = sample_shape
        pooled = math.ceil(steps / pool)
        self.encoder = nn.Sequential(
            nn.Identity(),
            *_residual_blocks(inputs, width, blocks, kernel),
            nn.Conv1d(width, narrow, 1),
            nn.AvgPool1d(pool, ceil_mode=True),
            nn.Flatten(),
            Linear(narrow * pooled, latent_dim),
            nn.Identity(),  # the activation of the code, see `Network.layers`
        )
        self.decoder = nn.Sequential(
            Linear(latent_dim, narrow * pooled),
            nn.Unflatten(1, (narrow, pooled)),
            Upsample(pool, steps),
            *_residual_blocks(narrow, width, blocks, kernel),
            nn.Conv1d(width, inputs, 1),
        )


class Residual(nn.Module):
    """Two convolutions with the same dilation, added to their input, (N, inputs, W)."""

    def __init__(self, inputs: int, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.layers = nn.Sequential(
            nn.Conv1d(inputs, width, kernel, padding=padding, dilation=dilation),
            nn.ReLU(),
            nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation),
            nn.ReLU(),
        )
        self.shortcut = nn.Identity() if inputs == width else nn.Conv1d(inputs, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of input and convolutions: (N, inputs, W) -> (N, width, W)."""
        output: Tensor = self.layers(x) + self.shortcut(x)
        return output


class Upsample(nn.Module):
    """Repeat each value over time up to a length."""

    def __init__(self, factor: int, steps: int) -> None:
        super().__init__()
        self.factor, self.steps = factor, steps

    def forward(self, x: Tensor) -> Tensor:
        """Repeat values: (N, width, ceil(steps / factor)) -> (N, width, steps)."""
        return x.repeat_interleave(self.factor, 2)[..., : self.steps]


def _residual_blocks(inputs: int, width: int, blocks: int, kernel: int) -> Iterator[nn.Module]:
    """Yield residual blocks, each with its activation, with dilations 1, 2, 4, ..."""
    for i in range(blocks):
        yield Residual(width if i else inputs, width, kernel, 2**i)
        yield nn.ReLU()
