"""Structural similarity of images, differentiable and by matrix products.

torchmetrics has the same measures. Its depth-wise 11 x 11 convolution takes 3 to 40 times as long
on a CPU, and its import takes seconds that inference does not have.
"""

import torch
from torch import Tensor
from torch.nn import functional

SD, RADIUS = 1.5, 5  # pixels, of the Gaussian window of 11 x 11 pixels
C1, C2 = 0.01**2, 0.03**2  # of pixels in [0, 1]
# Exponents of the scales, finest first (Wang et al. 2003, section 3.2).
SCALE_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MIN_SIMILARITY = 1e-6  # of a scale; a power of 0 has no finite gradient


def ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """Return the structural dissimilarity 1 - SSIM at each pixel: (N, C, H, W) -> (N, 1, H, W).

    Pixels lie in [0, 1]. It is 0 for equal images and at most 2, and averaged over channels. The
    window is a Gaussian; beyond the border the image is mirrored. An image with a side below 11
    pixels has a window that fits it. Sources: Wang et al. 2004, equation 13; Bergmann et al. 2018
    for its use as an anomaly map.
    """
    luminance, contrast = _terms(x, y)
    return (1 - luminance * contrast).mean(1, keepdim=True).clamp(min=0)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean SSIM of each image: (N, C, H, W) -> (N,)."""
    luminance, contrast = _terms(x, y)
    return (luminance * contrast).flatten(1).mean(1)


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the multi-scale SSIM of each image: (N, C, H, W) -> (N,).

    It is the product over scales of mean contrast and structure, and at the coarsest one also of
    luminance, each to the power of its exponent (Wang et al. 2003, equation 7). The number of
    `scales` follows from the size; the exponents are rescaled to sum 1.
    """
    exponents = SCALE_EXPONENTS[: scales(*x.shape[-2:])]
    product = x.new_ones(len(x))
    for scale, exponent in enumerate(exponents):
        if scale:
            x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
        luminance, contrast = _terms(x, y)
        similarity = contrast if scale < len(exponents) - 1 else luminance * contrast
        mean = similarity.flatten(1).mean(1)
        product = product * mean.clamp(min=MIN_SIMILARITY).pow(exponent / sum(exponents))
    return product


def scales(height: int, width: int) -> int:
    """Return how often an image can be halved, and one, until the window no longer fits it.

    It is 0 for an image with a side below 11 pixels, and at most 5.
    """
    windows = min(height, width) // (2 * RADIUS + 1)
    return min(windows.bit_length(), len(SCALE_EXPONENTS))


def _terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return luminance, and contrast times structure, at each pixel: (N, C, H, W) each."""
    moments = torch.stack([x, y, x * x + y * y, x * y])
    rows, columns = (_window_matrix(side, x) for side in x.shape[-2:])
    mean_x, mean_y, squares, products = (rows @ (moments @ columns.T)).unbind()
    mean_product, mean_squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    luminance = (2 * mean_product + C1) / (mean_squares + C1)
    contrast = (2 * (products - mean_product) + C2) / (squares - mean_squares + C2)
    return luminance, contrast


def _window_matrix(side: int, like: Tensor) -> Tensor:
    """Return the matrix that averages one side over the window, (side, side)."""
    radius = min(RADIUS, (side - 1) // 2)
    steps = torch.arange(-radius, radius + 1, device=like.device)
    weights = torch.softmax(-0.5 * (steps.to(like.dtype) / SD).square(), 0)
    source = torch.arange(side, device=like.device)[:, None] + steps
    source = torch.where(source < 0, -1 - source, source)  # mirrored: b a | a b c
    source = torch.where(source >= side, 2 * side - 1 - source, source)
    matrix = torch.zeros(side, side, dtype=like.dtype, device=like.device)
    return matrix.scatter_add(1, source, weights.expand(side, -1))
