"""Synthetic defects of images, computed in batches on the images' device.

Images are (N, C, H, W) with pixels in [0, 1]. Random numbers come from `generator`. If it is None,
they come from torch's global generator. No shape depends on random numbers, so that a training step
with defects can be captured as a CUDA graph.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Generator, Tensor

DefectKind: TypeAlias = Literal["perlin", "cut_paste", "scar"]
MIN_CELL, MAX_CELLS = 4, 64  # pixels per cell of Perlin noise, at least, and cells per side
MASK_LEVEL = 0.75  # of the range of the noise, above which it is a defect
OPACITY = (0.2, 1.0)  # of a texture
AREA, ASPECT = (0.02, 0.15), (0.3, 3.3)  # of a pasted patch, as a share of the image
SCAR_LENGTH, SCAR_WIDTH = (10 / 256, 25 / 256), (2 / 256, 16 / 256)  # of the shorter side
SCAR_ANGLE = math.pi / 4
BRIGHTNESS = (0.9, 1.1)  # factor of a pasted patch
MIN_PATCH = 2  # pixels per side, or the side of the image


def with_defects(
    x: Tensor, generator: Generator | None = None, kinds: Sequence[DefectKind] = ()
) -> tuple[Tensor, Tensor]:
    """Return images with one defect each, and masks of the changed pixels, (N, 1, H, W) bool.

    The kind of each image is drawn from `kinds`, all of `DEFECTS` by default. A patch that equals
    what it covers, such as one of the background, changes nothing.
    """
    chosen = [DEFECTS[kind] for kind in kinds or DEFECTS]
    changed = chosen[0](x, generator)
    kind = _integers(x, 0, len(chosen), generator)
    for i, defect in enumerate(chosen[1:], 1):
        changed = torch.where(kind == i, defect(x, generator), changed)
    return changed, (changed != x).any(1, keepdim=True)


def perlin(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Blend a texture into each image where Perlin noise is high (Zavrtanik et al. 2021, DRAEM).

    DRAEM's textures are photographs of another data set. Here a texture is a shifted, mirrored and
    possibly inverted image of the batch, another one if there are several, or coloured noise.
    """
    noise = perlin_noise(x, generator)
    low, high = noise.amin((2, 3), keepdim=True), noise.amax((2, 3), keepdim=True)
    mask = noise >= low + MASK_LEVEL * (high - low)
    opacity = _uniform(x, *OPACITY, generator)
    stain = _uniform(x, 0.0, 1.0, generator, x.shape[1]) + perlin_noise(x, generator) / 2
    is_stain = _integers(x, 0, 2, generator) == 1
    texture = torch.where(is_stain, stain.clamp(0, 1), _other_texture(x, generator))
    return torch.where(mask, x + opacity * (texture - x), x)


def cut_paste(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Copy a rectangle of each image to another place of it (Li et al. 2021, CutPaste)."""
    height, width = x.shape[-2:]
    area = height * width * _uniform(x, *AREA, generator)
    low, high = map(math.log, ASPECT)
    aspect = _uniform(x, low, high, generator).exp()
    size = (area / aspect).sqrt(), (area * aspect).sqrt()
    return _pasted(x, *size, torch.zeros_like(area), generator)


def scar(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Copy a thin, rotated rectangle of each image to another place (Li et al. 2021, the scar)."""
    side = min(x.shape[-2:])
    length = side * _uniform(x, *SCAR_LENGTH, generator)
    width = side * _uniform(x, *SCAR_WIDTH, generator)
    return _pasted(x, length, width, _uniform(x, -SCAR_ANGLE, SCAR_ANGLE, generator), generator)


DEFECTS: dict[DefectKind, Callable[[Tensor, Generator | None], Tensor]] = {
    "perlin": perlin,
    "cut_paste": cut_paste,
    "scar": scar,
}


def perlin_noise(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Return gradient noise from -1 to 1 for each image, (N, 1, H, W) (Perlin 2002).

    Each side is divided into a random power of two of cells, independently per image.
    """
    places, cells = [], []  # per axis: cell and place in it of each pixel, and most cells
    for axis, side in zip((2, 3), x.shape[-2:], strict=True):
        most = min(MAX_CELLS, max(1, side // MIN_CELL)).bit_length()
        count = 2 ** _integers(x, 0, most, generator)
        pixels = torch.arange(side, device=x.device, dtype=x.dtype) + 0.5
        place = pixels.view([-1 if i == axis else 1 for i in range(4)]) * count / side
        places.append((place.floor().long(), place - place.floor()))
        cells.append(2 ** (most - 1) + 1)
    (row, y), (column, x_) = places
    angles = torch.empty(len(x), *cells, dtype=x.dtype, device=x.device)
    angles.uniform_(0, 2 * math.pi, generator=generator)
    image = torch.arange(len(x), device=x.device).view(-1, 1, 1, 1)
    corners = []
    for down in (0, 1):
        for right in (0, 1):
            corner = image, row + down, column + right
            slopes = angles.sin()[corner], angles.cos()[corner]
            corners.append(slopes[0] * (y - down) + slopes[1] * (x_ - right))
    top = torch.lerp(corners[0], corners[1], _fade(x_))
    bottom = torch.lerp(corners[2], corners[3], _fade(x_))
    return math.sqrt(2) * torch.lerp(top, bottom, _fade(y))


def _fade(t: Tensor) -> Tensor:
    """Return Perlin's interpolation weight, with zero first and second derivatives at 0 and 1."""
    return t**3 * (t * (6 * t - 15) + 10)


def _other_texture(x: Tensor, generator: Generator | None) -> Tensor:
    """Return for each image another one of the batch, shifted, and half of them inverted."""
    count, _, height, width = x.shape
    step = _integers(x, 1, max(2, count), generator).flatten()
    other = x[(torch.arange(count, device=x.device) + step) % count]
    rows = torch.arange(height, device=x.device).view(-1, 1) + _integers(x, 0, height, generator)
    columns = torch.arange(width, device=x.device) + _integers(x, 0, width, generator)
    columns = torch.where(_integers(x, 0, 2, generator) == 1, width - 1 - columns, columns)
    shifted = _taken(other, rows % height, columns % width)
    return torch.where(_integers(x, 0, 2, generator) == 1, 1 - shifted, shifted)


def _pasted(
    x: Tensor, height: Tensor, width: Tensor, angle: Tensor, generator: Generator | None
) -> Tensor:
    """Copy a rectangle of `height` x `width` pixels, turned by `angle`, to another place."""
    centres, sides = [], x.shape[-2:]
    sizes = [
        size.clamp(min(MIN_PATCH, side), side)
        for size, side in zip((height, width), sides, strict=True)
    ]
    for size, side in zip(sizes, sides, strict=True):
        centres.append([size / 2 + (side - size) * _uniform(x, 0, 1, generator) for _ in range(2)])
    y = torch.arange(sides[0], device=x.device).view(-1, 1) + 0.5 - centres[0][0]
    x_ = torch.arange(sides[1], device=x.device) + 0.5 - centres[1][0]
    down, right = y * angle.cos() - x_ * angle.sin(), y * angle.sin() + x_ * angle.cos()
    is_inside = (down.abs() <= sizes[0] / 2) & (right.abs() <= sizes[1] / 2)
    rows = (centres[0][1] + down).floor().long().clamp(0, sides[0] - 1)
    columns = (centres[1][1] + right).floor().long().clamp(0, sides[1] - 1)
    patch = _taken(x, rows, columns) * _uniform(x, *BRIGHTNESS, generator)
    return torch.where(is_inside, patch.clamp(0, 1), x)


def _taken(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels of each image at rows and columns, (N, 1, H, W) or broadcast to it."""
    index = (rows * x.shape[3] + columns).flatten(2).expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, index).view_as(x)


def _uniform(
    x: Tensor, low: float, high: float, generator: Generator | None, channels: int = 1
) -> Tensor:
    """Return one random number per image, or per image and channel, (N, channels, 1, 1)."""
    draws = torch.empty(len(x), channels, 1, 1, dtype=x.dtype, device=x.device)
    return draws.uniform_(low, high, generator=generator)


def _integers(x: Tensor, low: int, high: int, generator: Generator | None) -> Any:
    """Return one random integer per image, `high` excluded, (N, 1, 1, 1)."""
    return torch.randint(low, high, (len(x), 1, 1, 1), generator=generator, device=x.device)
