"""Objectives of reconstruction: the error, its trade-off with the code size, and denoising."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from hourglass.core.errors import UserError
from hourglass.tuning.objectives.base import Direction, Objective, Task

if TYPE_CHECKING:
    from hourglass.networks import Network

# Settings that change neither the size of a network nor its regularisation.
OPTIMISATION_SETTINGS = (
    "learning_rate",
    "schedule",
    "warmup_epochs",
    "pretrain_epochs",
    "activation",
    "loss",
)


class ReconstructionError(Objective):
    """Minimise the mean squared error on the validation split, for networks of the same size.

    It is suitable for settings of the optimisation, such as the learning rate. It is not suitable
    for the code size, a noise level or a penalty: a wider code or a weaker regularisation always
    reduces the error, so the search would end at a limit of its range.
    """

    names = ("reconstruction_error",)
    directions: ClassVar[tuple[Direction, ...]] = ("minimize",)

    def check(self, task: Task, searched: Iterable[str]) -> None:
        """Raise a UserError if a setting of the size or the regularisation is searched."""
        for name in searched:
            if name not in OPTIMISATION_SETTINGS:
                raise UserError(
                    f"the reconstruction error cannot choose {name}: a wider code or a weaker "
                    "constraint always reconstructs better, so the search would end at an end of "
                    "its range; use `--objective detection`, denoising, features or synthetic, or "
                    "pareto for the trade-off."
                )

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the mean squared error per element on the validation split."""
        return (_error(network, task),)


class Pareto(Objective):
    """Minimise the mean squared error on the validation split and the code size at once.

    The result is a Pareto front, the smallest error per code size, instead of a single best trial.
    The proposed trial is the knee of the front: the point furthest below the line between its ends,
    on logarithmic axes. Codes wider than that reduce the error little. Optuna does not prune
    studies with two objectives.
    """

    names = ("reconstruction_error", "code_size")
    directions: ClassVar[tuple[Direction, ...]] = ("minimize", "minimize")

    def check(self, task: Task, searched: Iterable[str]) -> None:
        """Raise a UserError if the code size is not searched."""
        if not {"latent_dim", "expansion"} & set(searched):
            raise UserError(
                "pareto needs latent_dim in the space: without it all codes have the same size."
            )

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the mean squared error per element on the validation split, and latent_dim."""
        return _error(network, task), float(network.latent_dim)


class Denoising(Objective):
    """Maximise the PSNR of normal tuning samples reconstructed from copies with fixed noise.

    `noise_factor` is the standard deviation of the Gaussian noise in units of the scaled input. The
    noise is the same for all trials, regardless of the noise in their training: weaker noise would
    be easier to remove. PSNR = -10 log10(mean squared error) dB, with a peak of 1: the range of a
    pixel, or one standard deviation of a standardised feature. Missing cells do not count.
    """

    names = ("tuning_PSNR",)

    def __init__(self, noise_factor: float = 0.5) -> None:
        if not noise_factor > 0:
            raise UserError(f"noise_factor is {noise_factor}, but must be above 0.")
        self.noise_factor = noise_factor

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the PSNR in dB over all normal samples of the tuning split."""
        import numpy as np
        import torch

        from hourglass.data.scaling import TiledScaling
        from hourglass.data.series_encoding import SeriesEncoding
        from hourglass.detection.inference import batch_size, map_batch
        from hourglass.evaluation.tile_baselines import train_tiles
        from hourglass.evaluation.window_baselines import train_windows

        tuning, total, count = task.prepared.split("tuning"), 0.0, 0
        generator = torch.Generator().manual_seed(0)
        scaling, samples = task.prepared.scaling, tuning.x[~tuning.anomaly]
        if isinstance(scaling, SeriesEncoding):
            inputs = train_windows(scaling, samples).transpose(0, 2, 1)
        elif isinstance(scaling, TiledScaling):
            inputs = train_tiles(scaling, samples)
        else:
            inputs = scaling(samples)
        normal = torch.from_numpy(np.ascontiguousarray(inputs))
        for x in normal.split(batch_size(normal)):
            # Drawn on the CPU, so that the noise is the same on every device.
            noise = torch.randn(x.shape, generator=generator)
            noisy = x + self.noise_factor * noise
            if not network.reconstructs_samples:
                raise UserError(
                    "this objective compares images, but the network reconstructs features of "
                    "images; choose another objective."
                )
            (clean,) = map_batch(network, noisy, lambda forward: forward.output)
            squares = (clean - x.numpy()) ** 2
            if network.heads:  # an indicator of missing cells has no reconstruction
                squares = squares[:, ~network.heads.is_indicator.cpu().numpy()]
            known = ~np.isnan(squares)
            total += float(squares.sum(dtype="float64", where=known))
            count += int(known.sum())
        return (-10 * math.log10(total / count),)


def _error(network: "Network", task: Task) -> float:
    from hourglass.detection.scoring import errors

    prepared = task.prepared
    return float(errors(network, prepared.split("validation").x, prepared.scaling).mean())
