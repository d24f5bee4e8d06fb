"""The networks of the cases, shared by all contestants that use PyTorch."""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.cases import Case
from hourglass.networks import Convolutional, Dense, Network
from hourglass.networks.bolts import Bolts

BUILD: dict[str, Callable[[tuple[int, ...]], Network]] = {
    "dense": lambda shape: Dense(shape, 32, [256], bounded=True),
    "convolutional": lambda shape: Convolutional(shape, 32, (16, 32), bounded=True),
    # Like PyOD's network, with an activation after the code.
    "card": lambda shape: Dense(shape, 5, [20], code_activation="relu"),
    "bolts_ae": lambda shape: Bolts(shape, 256),
    "wide": lambda shape: Dense(shape, 32, [256], bounded=True),
}


def build(case: Case, sample_shape: tuple[int, ...]) -> Network:
    """Return the network of a case, always with the same initial weights."""
    torch.manual_seed(0)
    return BUILD[case.network](sample_shape)


def allowance(case: Case, sample_shape: tuple[int, ...]) -> int:
    """Return the bytes of the model and one batch in training.

    A weight counts four times: itself, its gradient and Adam's two moments. A batch consists of the
    outputs of the layers and their gradients.
    """
    network, held = build(case, sample_shape).eval(), [0]

    def add(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
        held[0] += output.nbytes

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(add)
    with torch.no_grad():
        network(torch.zeros(1, *sample_shape))
    model = 4 * sum(each.nbytes for each in network.parameters())
    return model + 2 * case.batch_size * held[0]
