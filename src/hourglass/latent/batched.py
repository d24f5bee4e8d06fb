"""From arrays to arrays by way of a torch module, batch by batch."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from hourglass.detection.scoring import BATCH_SIZE, best_device


def batched(module: nn.Module, function: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    """Return what a function of the module makes of scaled samples or codes: (N, ...) -> (N, ...).

    The module is moved to where it is fastest, and one batch at a time follows it.
    """
    device = best_device()
    module.to(device)
    with torch.inference_mode():
        parts = [
            function(torch.from_numpy(x[start : start + BATCH_SIZE]).to(device)).cpu().numpy()
            for start in range(0, len(x), BATCH_SIZE)
        ]
    return np.concatenate(parts)
