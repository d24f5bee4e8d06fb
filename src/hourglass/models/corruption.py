"""Corruptions of training inputs, computed on the inputs' device.

Inputs are scaled; pixels lie in [0, 1]. Random numbers come from `generator`. If it is None, they
come from torch's global generator, which is seeded at the start of training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.models.synthetic_defects import with_defects
from hourglass.networks.base import is_image, require_at_least
from hourglass.networks.heads import TableHeads

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue (ITU-R BT.601)
# Gaussian noise does not suit categories and booleans, which are swapped with this probability.
CATEGORY_SWAP = 0.15
IMAGES_ONLY = ("defects", "grey", "downsampling")  # settings that apply to nothing else
NOT_OF_VECTORS = (*IMAGES_ONLY, "block")


def gaussian(x: Tensor, noise_factor: float, generator: Generator | None = None) -> Tensor:
    """Add Gaussian noise of standard deviation `noise_factor`, in the units of the scaled input.

    The result is not clipped, so the noise stays Gaussian.
    """
    return x + noise_factor * torch.empty_like(x).normal_(generator=generator)


def masking(x: Tensor, probability: float, generator: Generator | None = None) -> Tensor:
    """Set each element to 0 with `probability` (Vincent et al. 2008, section 2.3)."""
    return x * (_uniform(x, generator) >= probability)


def salt_and_pepper(x: Tensor, probability: float, generator: Generator | None = None) -> Tensor:
    """Replace each element with `probability`, by 0 or 1 with equal chance.

    Source: Vincent et al. 2010, section 3.3.
    """
    drawn = _uniform(x, generator)
    return torch.where(drawn < probability, (drawn < probability / 2).to(x.dtype), x)


def block(x: Tensor, side: float, generator: Generator | None = None) -> Tensor:
    """Set a random square of each image, (N, C, H, W), to 0 in all channels.

    `side` is the length of the square's side as a fraction of the image's shorter side. The square
    has at least one pixel and lies within the image. Of a window, (N, F, W), it is a stretch of
    time steps, as a fraction of all steps.
    """
    if x.ndim == 3:
        return x * ~_stretch(x, side, generator)
    pixels = max(1, round(side * min(x.shape[-2:])))
    rows, columns = (_random_spans(x, length, pixels, generator) for length in x.shape[-2:])
    return x * ~(rows[:, None, :, None] & columns[:, None, None, :])


def downsampling(x: Tensor, factor: int) -> Tensor:
    """Shrink images, (N, C, H, W), by `factor` per side and enlarge them to full size again."""
    return enlarged(shrunk(x, factor), factor)[..., : x.shape[-2], : x.shape[-1]]


def shrunk(x: Tensor, factor: int) -> Tensor:
    """Average blocks of factor x factor pixels: (N, C, H, W) -> (N, C, h, w).

    h and w are rounded up. If `factor` does not divide a side, the last block has fewer pixels.
    """
    return functional.avg_pool2d(x, factor, ceil_mode=True)


def enlarged(x: Tensor, factor: int) -> Tensor:
    """Repeat each pixel `factor` times per side: (N, C, h, w) -> (N, C, factor h, factor w)."""
    return x.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def grey(x: Tensor) -> Tensor:
    """Replace all three channels by the luma (ITU-R BT.601): (N, 3, H, W) -> (N, 3, H, W)."""
    luma = (x * x.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
    return luma.expand_as(x).contiguous()


def swap(
    x: Tensor, probability: float | Tensor, column: Tensor, generator: Generator | None = None
) -> Tensor:
    """Replace cells by those of another sample in the same column: (N, F) -> (N, F).

    A cell is replaced with `probability`, which may be (C,), one per column. `column` is the column
    of each input, (F,). The empirical distribution of a column is the same afterwards (Yoon et al.
    2020, VIME, section 4.1). In windows, (N, F, W), a cell gets the value of the same time step of
    another window.
    """
    cells = (len(x), int(column.max()) + 1, *x.shape[2:])
    if isinstance(probability, Tensor):
        probability = _per_input(probability, x)
    chosen = torch.rand(cells, generator=generator, device=x.device) < probability
    other = torch.randint(len(x), cells, generator=generator, device=x.device)
    return torch.where(chosen[:, column], x.gather(0, other[:, column]), x)


def defects(x: Tensor, share: float, generator: Generator | None = None) -> Tensor:
    """Give each image, (N, C, H, W), a synthetic defect with probability `share`."""
    chosen = torch.rand((len(x), 1, 1, 1), generator=generator, device=x.device) < share
    return torch.where(chosen, with_defects(x, generator)[0], x)


def _uniform(x: Tensor, generator: Generator | None) -> Tensor:
    return torch.empty_like(x).uniform_(generator=generator)


def _per_input(values: Tensor, x: Tensor) -> Tensor:
    """Return values per input or column so that they apply to all steps: (F,) or (F, 1)."""
    return values.view(-1, *[1] * (x.ndim - 2))


def _stretch(x: Tensor, share: float, generator: Generator | None) -> Tensor:
    """Return a mask of a random stretch of the steps of windows, (N, F, W) -> (N, 1, W) bool."""
    steps = max(1, round(share * x.shape[2]))
    return _random_spans(x, x.shape[2], steps, generator)[:, None]


def _random_spans(x: Tensor, length: int, pixels: int, generator: Generator | None) -> Tensor:
    """Return a mask of `pixels` consecutive positions per image, (N, length) bool."""
    first = torch.randint(length - pixels + 1, (len(x), 1), generator=generator, device=x.device)
    offset = torch.arange(length, device=x.device) - first
    return (offset >= 0) & (offset < pixels)


@dataclass(frozen=True)
class Corruption:
    """A sequence of corruptions, applied in this order; none by default.

    `defects`: share of images with a synthetic defect, see `synthetic_defects.with_defects`.
    `grey`: replace colours by their luma (3 channels only).
    `downsampling`: factor by which the number of pixels per side is reduced; 1 for none.
    `noise_factor`: standard deviation of Gaussian noise, in the units of the scaled input.
    `salt_and_pepper`: probability that an element becomes 0 or 1.
    `masking`: probability that an element becomes 0; in a table, that a cell is missing.
    `swap`: probability that a cell of a table or time series gets the value of another sample.
    `block`: side of a square that becomes 0, as a fraction of the image's shorter side; in a time
        series, the share of the window's steps, in one stretch, that become 0.

    Raises a UserError if a setting is out of range.
    """

    grey: bool = False
    downsampling: int = 1
    noise_factor: float = 0.0
    salt_and_pepper: float = 0.0
    masking: float = 0.0
    swap: float = 0.0
    block: float = 0.0
    defects: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.defects <= 1:
            raise UserError(f"defects is {self.defects}, but must be at least 0 and at most 1.")
        require_at_least(0, noise_factor=self.noise_factor)
        require_at_least(1, downsampling=self.downsampling)
        for name in ("salt_and_pepper", "masking", "swap", "block"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise UserError(f"{name} is {value}, but must be at least 0 and below 1.")

    @property
    def of_images(self) -> "Corruption":
        """Return only the corruptions of parts of images: defects, grey, downsampling, block."""
        return replace(self, noise_factor=0.0, salt_and_pepper=0.0, masking=0.0, swap=0.0)

    def check(self, sample_shape: Sequence[int]) -> None:
        """Raise a UserError if a setting does not apply to samples of a shape."""
        if self.swap and is_image(sample_shape):
            raise UserError(
                f"swap is {self.swap}, but samples of shape {tuple(sample_shape)} are images and "
                "have no columns; remove the setting."
            )
        for name in IMAGES_ONLY:
            value = getattr(self, name)
            if value != getattr(Corruption, name) and not is_image(sample_shape):
                raise UserError(
                    f"{name} is {value}, but samples of shape {tuple(sample_shape)} are not "
                    "images; remove the setting."
                )
        if self.block and len(sample_shape) == 1:
            raise UserError(
                f"block is {self.block}, but samples of shape {tuple(sample_shape)} are not images "
                "or windows of a time series; remove the setting."
            )
        if self.grey and sample_shape[0] != 3:
            raise UserError(
                f"grey is true, but these images have {sample_shape[0]} channels and not 3; "
                "remove the setting."
            )
        if self.downsampling > min(sample_shape[1:], default=1):
            raise UserError(
                f"downsampling is {self.downsampling}, but a side of these images has "
                f"{min(sample_shape[1:])} pixels; give at most that."
            )

    def __call__(
        self, x: Tensor, generator: Generator | None = None, heads: TableHeads | None = None
    ) -> Tensor:
        """Corrupt inputs, (N, *S) -> (N, *S); disabled corruptions draw no random numbers.

        With `heads`, `x` holds the inputs of a table, at each step of a window: a category is
        corrupted as a whole.
        """
        if heads and not heads.is_plain:
            return self._corrupt_cells(x, heads, generator)
        if self.defects:
            x = defects(x, self.defects, generator)
        if self.grey:
            x = grey(x)
        if self.downsampling > 1:
            x = downsampling(x, self.downsampling)
        if self.noise_factor:
            x = gaussian(x, self.noise_factor, generator)
        if self.salt_and_pepper:
            x = salt_and_pepper(x, self.salt_and_pepper, generator)
        if self.masking:
            x = masking(x, self.masking, generator)
        if self.swap:
            x = swap(x, self.swap, torch.arange(x.shape[1], device=x.device), generator)
        return block(x, self.block, generator) if self.block else x

    def _corrupt_cells(self, x: Tensor, heads: TableHeads, generator: Generator | None) -> Tensor:
        """Corrupt the inputs of tables or windows with categories, booleans or missing cells."""
        is_number = functional.pad(heads.is_number, (0, x.shape[1] - heads.values))
        is_number, indicators = _per_input(is_number, x), _per_input(heads.is_indicator, x)
        if self.swap or self.noise_factor:
            others = max(self.swap, CATEGORY_SWAP if self.noise_factor else 0.0)
            probability = torch.where(heads.numbers, self.swap, others)
            x = swap(x, probability, heads.column, generator)
        if self.noise_factor:
            x = torch.where(is_number, gaussian(x, self.noise_factor, generator), x)
        if self.salt_and_pepper:
            x = torch.where(is_number, salt_and_pepper(x, self.salt_and_pepper, generator), x)
        if self.masking:
            cells = (len(x), len(heads.columns), *x.shape[2:])
            drawn = torch.rand(cells, generator=generator, device=x.device)
            masked = (drawn < self.masking)[:, heads.column]
            x = torch.where(masked, indicators.to(x.dtype), x)
        if self.block:
            x = torch.where(_stretch(x, self.block, generator), indicators.to(x.dtype), x)
        return x
