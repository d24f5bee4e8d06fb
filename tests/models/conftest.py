"""Training without a Trainer, shared by the tests of variants."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from hourglass.models.base import LitAutoencoder


@pytest.fixture(scope="session")
def train() -> Callable[[LitAutoencoder, torch.Tensor, int], list[float]]:
    """Give a function that returns the loss of each optimiser step on the same batch."""

    def steps(module: LitAutoencoder, x: torch.Tensor, count: int) -> list[float]:
        module.train()
        module.trainer = SimpleNamespace(max_epochs=1)  # type: ignore[assignment]
        optimizer = module.configure_optimizers()
        losses = []
        for _ in range(count):
            optimizer.zero_grad()
            loss = module.training_step(x)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        module.eval()
        return losses

    return steps
