"""An update as a CUDA graph: the kernels of one step, launched together."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hourglass.training.step_checks import preserved

WARM_UP = 3  # updates before a capture: libraries choose their kernels, Adam makes its state


class GraphedStep:
    """Replay one update, captured on a CUDA device, for batches of one shape.

    Random draws come from the device's generator, in the order of plain updates, so seeding it
    means the same. The optimizer must be capturable. See "Whole-network capture" in torch's notes
    on CUDA graphs.
    """

    def __init__(
        self,
        update: Callable[[Tensor], Tensor],
        module: nn.Module,
        optimizer: Optimizer,
        batch: Tensor,
    ) -> None:
        self.batch = batch.clone()
        here, aside = torch.cuda.current_stream(batch.device), torch.cuda.Stream(batch.device)
        with preserved(module, optimizer, batch.device):
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    update(self.batch)
            here.wait_stream(aside)
        # Gradients get memory of the graph's own, which nothing else uses.
        optimizer.zero_grad()
        self.graph = torch.cuda.CUDAGraph()
        # A thread that fetches batches meanwhile is none of the capture's business.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.loss = update(self.batch).detach()

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the loss before the update; the next call overwrites it."""
        self.batch.copy_(batch)
        self.graph.replay()
        return self.loss


def make_capturable(optimizer: Optimizer, device: torch.device) -> None:
    """Keep on the device what an Adam changes from step to step: a graph holds no numbers.

    Schedules write the learning rate into its tensor.
    """
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)
