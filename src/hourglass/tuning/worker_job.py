"""What a command tells its workers."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from hourglass.core.paths import Cell
from hourglass.tuning.study_spec import StudySpec

Pruner: TypeAlias = Literal["median", "hyperband", "none"]


@dataclass(frozen=True)
class Job:
    """What a worker is told: the question, how many trials there are to be, and its own place."""

    data: str
    model: str
    objective: str
    space: str
    trials: int
    pruner: Pruner
    place: int  # among the workers of one command, from 0
    study: str  # its name, which the question gave when the command began
    command: str  # whose worker this is

    @property
    def question(self) -> StudySpec:
        """Return what the study asks."""
        return StudySpec.of(Cell(self.data, self.model), self.objective, self.space)
