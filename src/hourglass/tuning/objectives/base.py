"""The interface of tuning objectives, and the data for evaluating a network."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from hourglass.data.prepared_data import Prepared

if TYPE_CHECKING:
    from hourglass.detection.scorers import Scorer
    from hourglass.networks import Network

Direction: TypeAlias = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Task:
    """The data of an objective: a prepared data set, and the scorer of `score` in params.yaml."""

    prepared: Prepared
    scorer: "Scorer"


class Objective(ABC):
    """A function that evaluates a trained network on held-out samples, never on the test split.

    Only objectives with a single value support pruning.
    """

    names: tuple[str, ...]  # names of the values, in MLflow and in tables
    directions: ClassVar[tuple[Direction, ...]] = ("maximize",)

    def check(self, task: Task, searched: Iterable[str]) -> None:  # noqa: B027
        """Raise a UserError if the data or the searched settings do not suit the objective."""

    @abstractmethod
    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the values of a network in evaluation mode."""
