"""Dense layers computed by oneDNN, on processors for which it is faster than MKL.

torch multiplies float32 matrices with MKL and bundles oneDNN for convolutions. On AVX-512
processors that are not made by Intel, oneDNN was measured to be faster for dense networks: 1.42
times in training and 1.91 times in scoring. Both libraries compute in full float32; results differ
by rounding. Set HOURGLASS_ONEDNN to "on" or "off" to override the choice. To remove this
optimisation, replace `Linear` by `torch.nn.Linear` and `linear` by `torch.nn.functional.linear`.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function, forward_ad
from torch.nn import functional

SWITCH = "HOURGLASS_ONEDNN"  # environment variable: "on" or "off", for any processor
PROCESSOR = Path("/proc/cpuinfo")
# Minimum number of scalar multiplications for which oneDNN repays the overhead of its call.
MIN_PRODUCT_SCORING, MIN_PRODUCT_TRAINING = 2**20, 2**22
MIN_INPUTS = 64  # below, oneDNN transposes the gradient for longer than it multiplies


class Linear(nn.Linear):
    """A `torch.nn.Linear` computed by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x W^T + b: (N, in_features) -> (N, out_features)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x W^T + b: (N, in), (out, in), (out,) -> (N, out).

    torch computes the product if it is small, compiled, or not float32 on the CPU.
    """
    size = x.numel() * len(weight)
    if (
        torch.compiler.is_compiling()
        or size < MIN_PRODUCT_SCORING
        or not (_is_faster() and _is_supported(x, weight))
    ):
        return functional.linear(x, weight, bias)
    operands = (x, weight) if bias is None else (x, weight, bias)
    if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in operands):
        return _product(x, weight, bias)
    apply = _Linear.apply if size >= MIN_PRODUCT_TRAINING else functional.linear
    return apply(x, weight, bias)


def _product(x: Tensor, other: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x other^T + bias: (N, K), (M, K), (M,) -> (N, M).

    The operator is the one that torch's Inductor compiles dense layers to.
    """
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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        x_gradient = weight_gradient = None
        # Second derivatives need torch's operators, because oneDNN's operator has no derivative.
        by_torch = torch.is_grad_enabled()
        if ctx.needs_input_grad[0]:
            x_gradient = gradient @ weight if by_torch else _product(gradient, weight.t())
        if ctx.needs_input_grad[1] and (by_torch or x.shape[1] < MIN_INPUTS):
            weight_gradient = gradient.t() @ x
        elif ctx.needs_input_grad[1]:
            # oneDNN is slow if x is not contiguous.
            weight_gradient = _product(gradient.t(), x.contiguous().t())
        return x_gradient, weight_gradient, gradient.sum(0) if ctx.needs_input_grad[2] else None


def _is_supported(x: Tensor, weight: Tensor) -> bool:
    """Return True if oneDNN supports this product with the same result up to rounding."""
    return (
        x.dim() == 2
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_autocast_enabled("cpu")
        and forward_ad._current_level < 0  # oneDNN's operator has no forward derivative
    )


@cache
def _is_faster() -> bool:
    """Return True if oneDNN is faster than MKL on this type of processor.

    The choice depends on the processor and not on a timing at run time, so that a machine always
    computes the same bits.
    """
    if (
        not hasattr(torch.ops.mkldnn, "_linear_pointwise")
        or not torch.backends.mkldnn.is_available()
    ):
        return False
    if (switch := os.environ.get(SWITCH)) in ("on", "off"):
        return switch == "on"
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX512"
        and torch.backends.mkl.is_available()
        and PROCESSOR.exists()
        and "GenuineIntel" not in PROCESSOR.read_text()
    )
