"""What an objective is: a question about a trained network that has an answer."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from hourglass.data.prepared import Prepared

if TYPE_CHECKING:
    from hourglass.detection.scorers import Scorer
    from hourglass.networks import Network

Direction: TypeAlias = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Task:
    """What a network is judged with: prepared data, and the `score` in params.yaml."""

    prepared: Prepared
    scorer: "Scorer"


class Objective(ABC):
    """Judge a trained network by samples that it was not trained on, none of the test split.

    Where there is one value, a trial whose values by epoch fall behind is pruned.
    """

    names: tuple[str, ...]  # of the values, in MLflow and in tables
    directions: ClassVar[tuple[Direction, ...]] = ("maximize",)

    def check(self, task: Task, searched: Iterable[str]) -> None:  # noqa: B027
        """Raise a UserError where the data or what is searched leaves the question without answer."""

    @abstractmethod
    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the values of a network that is in evaluation mode."""
