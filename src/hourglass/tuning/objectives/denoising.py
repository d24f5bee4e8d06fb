"""How well a network removes noise of one size, whatever it was trained with."""

import math
from typing import TYPE_CHECKING

from hourglass.core.errors import UserError
from hourglass.tuning.objectives.base import Objective, Task

if TYPE_CHECKING:
    from hourglass.networks import Network


class Denoising(Objective):
    """Maximise the PSNR of normal tuning samples from copies with noise of a fixed size.

    `noise_factor` is the standard deviation of the gaussian noise in the units of the scaled input,
    and always the same draws: the noise of training is searched, so it cannot judge, as less of it
    is always easier to remove. PSNR = -10 log10(mean squared error) dB: the peak is 1, which is the
    range of a pixel or a standard deviation of a standardised feature.
    """

    def __init__(self, noise_factor: float = 0.5) -> None:
        if not noise_factor > 0:
            raise UserError(f"noise_factor is {noise_factor}, but denoising needs more than 0.")
        self.noise_factor = noise_factor
        self.names = ("tuning_PSNR",)

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the PSNR in dB over all normal samples of the tuning split."""
        import torch

        from hourglass.detection.inference import batch_size, map_batch

        tuning, total, count = task.prepared.split("tuning"), 0.0, 0
        generator = torch.Generator().manual_seed(0)
        normal = torch.from_numpy(task.prepared.scaling(tuning.x[~tuning.anomaly]))
        for x in normal.split(batch_size(normal)):
            # Drawn on the CPU: the noise is the same on every machine.
            noise = torch.randn(x.shape, generator=generator)
            noisy = x + self.noise_factor * noise
            (clean,) = map_batch(network, noisy, lambda view: view.output)
            total += float(((clean - x.numpy()) ** 2).sum(dtype="float64"))
            count += x.numel()
        return (-10 * math.log10(total / count),)
