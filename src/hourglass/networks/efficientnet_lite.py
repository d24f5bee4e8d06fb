"""EfficientNet-Lite0 up to some of its blocks (Tan and Le 2019, without squeeze and excitation)."""

import math
import re
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from hourglass.core.errors import UserError

# Per stage: expansion, channels, kernel, stride of the first block, blocks.
STAGES = (
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 2),
    (6, 40, 5, 2, 2),
    (6, 80, 3, 2, 3),
    (6, 112, 5, 1, 3),
    (6, 192, 5, 2, 4),
    (6, 320, 3, 1, 1),
)
STEM = 32  # channels
BATCH_NORM_EPS = 1e-3


def without_underscores(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the published weights, such as "_blocks.0._bn1.bias", to names without underscores."""
    return {re.sub(r"(^|\.)_", r"\1", name): tensor for name, tensor in weights.items()}


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding: the output has ceil(side / stride) positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of feature maps, (N, C, H, W)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding: list[int] = []
        for side in x.shape[:1:-1]:  # functional.pad begins with the last axis
            missing = max(0, (math.ceil(side / stride) - 1) * stride + kernel - side)
            padding += [missing // 2, missing - missing // 2]
        x = functional.pad(x, padding)
        return functional.conv2d(x, self.weight, None, stride, groups=self.groups)


class Block(nn.Module):
    """An inverted residual block: expand, convolve each channel, project (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.is_expanded = expansion > 1
        self.has_shortcut = stride == 1 and inputs == outputs
        if self.is_expanded:
            self.expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self.bn0 = nn.BatchNorm2d(inner, BATCH_NORM_EPS)
        self.depthwise_conv = SameConv2d(inner, inner, kernel, stride, groups=inner, bias=False)
        self.bn1 = nn.BatchNorm2d(inner, BATCH_NORM_EPS)
        self.project_conv = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output feature maps, (N, outputs, H / stride, W / stride)."""
        y = functional.relu6(self.bn0(self.expand_conv(x))) if self.is_expanded else x
        y = functional.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.has_shortcut else y


class EfficientNetLite0(nn.Module):
    """The stem and the blocks up to the last of `layers`, such as "blocks.4", of 16 blocks.

    Raises a UserError for other names.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        inputs = STEM
        for expansion, outputs, kernel, stride, count in STAGES:
            for k in range(count):
                blocks.append(Block(inputs, outputs, expansion, kernel, 1 if k else stride))
                inputs = outputs
        names = [f"blocks.{k}" for k in range(len(blocks))]
        for layer in layers:
            if layer not in names:
                raise UserError(
                    f"layers holds {layer!r}, but must hold names from {names[0]} to {names[-1]}."
                )
        self.names = names[: 1 + max(map(names.index, layers))]
        self.conv_stem = SameConv2d(3, STEM, 3, 2, bias=False)
        self.bn0 = nn.BatchNorm2d(STEM, BATCH_NORM_EPS)
        self.blocks = nn.ModuleList(blocks[: len(self.names)])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the outputs of all blocks, by name, for inputs in [-1, 1], (N, 3, H, W)."""
        x = functional.relu6(self.bn0(self.conv_stem(x)))
        outputs: dict[str, Tensor] = {}
        for name, block in zip(self.names, self.blocks, strict=True):
            outputs[name] = x = block(x)
        return outputs
