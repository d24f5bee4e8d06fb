"""The reconstruction error: beside the size of the code, or alone where that stays as it is."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from hourglass.core.errors import UserError
from hourglass.tuning.objectives.base import Direction, Objective, Task

if TYPE_CHECKING:
    from hourglass.networks import Network

# What changes neither a network's size nor what constrains it.
FREE = ("learning_rate", "schedule", "warmup_epochs", "pretrain_epochs", "activation", "loss")


class ReconstructionError(Objective):
    """Minimise the mean squared error of the validation split, of networks of one size.

    It can choose a learning rate. It cannot choose a bottleneck, a noise or a penalty: the error
    only falls as the code grows wider and the constraint weaker, and a search would find the end of
    its range, which is the identity and not an answer.
    """

    names = ("reconstruction_error",)
    directions: ClassVar[tuple[Direction, ...]] = ("minimize",)

    def check(self, task: Task, searched: Iterable[str]) -> None:
        """Raise a UserError where the size or the constraint is searched."""
        for name in searched:
            if name not in FREE:
                raise UserError(
                    f"the reconstruction error cannot choose {name}: a wider code or a weaker "
                    "constraint always reconstructs better, so the search would end at the end of "
                    "its range; use `--objective detection`, denoising, features or synthetic, or "
                    "pareto for the trade-off."
                )

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the mean squared error per element of the validation split."""
        return (_error(network, task),)


class Pareto(Objective):
    """Minimise the validation split's mean squared error and the size of the code at once.

    There is no best trial, but a front: for each size the least error that was found. The knee
    that is proposed is the trial of the front that lies furthest below the line between its ends,
    both values on a logarithmic scale: beyond it units buy little. Optuna prunes no such study.
    """

    names = ("reconstruction_error", "code_size")
    directions: ClassVar[tuple[Direction, ...]] = ("minimize", "minimize")

    def check(self, task: Task, searched: Iterable[str]) -> None:
        """Raise a UserError where the size of the code is not searched."""
        if not {"latent_dim", "expansion"} & set(searched):
            raise UserError(
                "pareto needs latent_dim in the space: without it there is one size only."
            )

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the mean squared error per element of the validation split, and the units."""
        return _error(network, task), float(network.latent_dim)


def _error(network: "Network", task: Task) -> float:
    from hourglass.detection.scoring import errors

    prepared = task.prepared
    return float(errors(network, prepared.split("validation").x, prepared.scaling).mean())
