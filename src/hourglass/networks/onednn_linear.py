"""Dense layers computed by oneDNN, on the processors on which it is faster than MKL.

torch multiplies float32 matrices with MKL. On processors with AVX-512 that are not Intel's, oneDNN,
which torch bundles for convolutions, was measured to train dense networks 1.42 times and to score
with them 1.91 times as fast. Both compute in full float32 and differ by rounding. Set
HOURGLASS_ONEDNN to "off" or "on" to override the choice. To remove the optimisation, replace
`Linear` by `torch.nn.Linear` and
`linear` by `torch.nn.functional.linear`.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function, forward_ad
from torch.nn import functional

SWITCH = "HOURGLASS_ONEDNN"  # "on" or "off", on any processor
PROCESSOR = Path("/proc/cpuinfo")
# Multiplications of a product from which oneDNN is worth the cost of its call.
MIN_PRODUCT_SCORING, MIN_PRODUCT_TRAINING = 2**20, 2**22
MIN_INPUTS = 64  # below, oneDNN takes longer to transpose the gradient than to multiply it


class Linear(nn.Linear):
    """torch's layer x W^T + b, computed by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, in_features) -> (N, out_features)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x W^T + b: (N, in), (out, in), (out,) -> (N, out).

    Products that are small, compiled or not float32 on the CPU are left to torch.
    """
    by_torch = torch.compiler.is_compiling() or (
        (size := x.numel() * len(weight)) < MIN_PRODUCT_SCORING
    )
    if by_torch or not (_faster() and _supported(x, weight)):
        return functional.linear(x, weight, bias)
    operands = [each for each in (x, weight, bias) if each is not None]
    if not (torch.is_grad_enabled() and any(each.requires_grad for each in operands)):
        return _product(x, weight, bias)
    apply = _Linear.apply if size >= MIN_PRODUCT_TRAINING else functional.linear
    return apply(x, weight, bias)


def _product(x: Tensor, other: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x Y^T + b by Inductor's oneDNN operator for dense layers: (N, K), (M, K)."""
    return torch.ops.mkldnn._linear_pointwise(x, other, bias, "none", [], "")


class _Linear(Function):
    generate_vmap_rule = True  # for torch.func.grad and vmap

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _product(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        # Second derivatives need torch's operators: oneDNN's has none.
        by_torch = torch.is_grad_enabled()
        if ctx.needs_input_grad[0]:
            of_x = slope @ weight if by_torch else _product(slope, weight.t())
        if ctx.needs_input_grad[1]:
            by_torch = by_torch or x.shape[1] < MIN_INPUTS
            # oneDNN is slow if the second factor is not contiguous.
            of_weight = slope.t() @ x if by_torch else _product(slope.t(), x.contiguous().t())
        return of_x, of_weight, slope.sum(0) if ctx.needs_input_grad[2] else None


def _supported(x: Tensor, weight: Tensor) -> bool:
    """Return True if oneDNN computes this product as torch would."""
    return (
        x.dim() == 2
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_autocast_enabled("cpu")
        and forward_ad._current_level < 0  # oneDNN's operator has no forward derivative
    )


@cache
def _faster() -> bool:
    """Return True if oneDNN was measured to be faster on this processor.

    The processor decides, not a stopwatch, so that the same machine computes the same bits.
    """
    available = torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_linear_pointwise"
    )
    switch = os.environ.get(SWITCH)
    if switch in ("on", "off") or not available:
        return available and switch == "on"
    avx512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return (
        avx512
        and torch.backends.mkl.is_available()
        and PROCESSOR.exists()
        and "GenuineIntel" not in PROCESSOR.read_text()
    )
