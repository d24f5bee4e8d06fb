"""What denoising undoes: functions from clean inputs to corrupted ones, on the inputs' device."""

import torch
from torch import Tensor


def gaussian(x: Tensor, noise_factor: float) -> Tensor:
    """Add normal noise of standard deviation `noise_factor`, in the units of the scaled input.

    The result is not clipped: the noise stays normal, and its size means the same everywhere.
    """
    return x + noise_factor * torch.randn_like(x)


def masking(x: Tensor, probability: float) -> Tensor:
    """Set each element to 0 with the given probability (Vincent et al. 2008, section 2.3)."""
    return x * (torch.rand_like(x) >= probability)
