"""Dense layers, by the faster of the two libraries of matrix products that torch comes with."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function, forward_ad
from torch.nn import functional

SWITCH = "HOURGLASS_ONEDNN"  # "on" or "off", whatever the processor
PROCESSOR = Path("/proc/cpuinfo")
SCORED, TRAINED = 2**20, 2**22  # multiplications from which a product is worth its call
NARROW = 64  # inputs below which oneDNN takes longer to turn a gradient round than to multiply it


class Linear(nn.Linear):
    """Be torch's layer x W^T + b, computed as `linear` does."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, in_features) -> (N, out_features)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x W^T + b: (N, in), (out, in), (out,) -> (N, out).

    torch multiplies float32 matrices by MKL, which was measured to be half as fast on a processor
    with AVX-512 that is not Intel's as oneDNN, which torch has for convolutions. Both compute in
    full float32, and differ by rounding. Of what is not such a product, or too small for it to
    matter, or to be compiled, torch decides.
    """
    by_torch = torch.compiler.is_compiling() or (size := x.numel() * len(weight)) < SCORED
    if by_torch or not (_faster() and _may(x, weight)):
        return functional.linear(x, weight, bias)
    given = [each for each in (x, weight, bias) if each is not None]
    if not (torch.is_grad_enabled() and any(each.requires_grad for each in given)):
        return _product(x, weight, bias)
    apply = _Linear.apply if size >= TRAINED else functional.linear
    return apply(x, weight, bias)


def _product(x: Tensor, other: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x Y^T + b by oneDNN, with what Inductor makes of a dense layer: (N, K), (M, K)."""
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
        # Where the gradient is to be differentiated, by what torch can differentiate.
        by_torch = torch.is_grad_enabled()
        if ctx.needs_input_grad[0]:
            of_x = slope @ weight if by_torch else _product(slope, weight.t())
        if ctx.needs_input_grad[1]:
            by_torch = by_torch or x.shape[1] < NARROW
            # oneDNN is slow with a second factor that has gaps.
            of_weight = slope.t() @ x if by_torch else _product(slope.t(), x.contiguous().t())
        return of_x, of_weight, slope.sum(0) if ctx.needs_input_grad[2] else None


def _may(x: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN computes this product as torch would."""
    return (
        x.dim() == 2
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_autocast_enabled("cpu")
        and forward_ad._current_level < 0  # oneDNN's operator knows no forward derivatives
    )


@cache
def _faster() -> bool:
    """Return whether oneDNN is to be used: where its products were measured to be faster.

    That is decided by the processor, not by a stopwatch: the same machine gives the same bits.
    """
    there = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    asked = os.environ.get(SWITCH)
    if asked in ("on", "off") or not there:
        return there and asked == "on"
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.backends.mkl.is_available()
    return wide and PROCESSOR.exists() and "GenuineIntel" not in PROCESSOR.read_text()
