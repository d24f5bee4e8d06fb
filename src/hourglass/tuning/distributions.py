"""What is drawn for one setting: a number of a range, or one of some values."""

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from hourglass.core.errors import UserError
from hourglass.core.yaml_config import construct, mapping, resolve

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Range:
    """Draw a number from `low` to `high`: evenly, or evenly in its `log`, or by `step`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            raise UserError(
                f"low is {self.low}, but must be a number up to high, here {self.high}."
            )
        if self.step is not None and not 0 < self.step < math.inf:
            raise UserError(f"step is {self.step}, but must be above 0.")
        if self.log and (self.low <= 0 or self.step):
            raise UserError("a logarithmic range needs a low above 0, and takes no step.")

    def draw(self, trial: "optuna.Trial", name: str, whole: bool) -> float:
        """Return a number, a whole one where the setting is."""
        step = None if self.log else self.step
        if whole:
            low, high = int(self.low), int(self.high)
            return trial.suggest_int(name, low, high, step=int(step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=step, log=self.log)

    def ends(self, whole: bool) -> list[float]:
        """Return what the constructor must take for all between to be taken.

        Raises a UserError for parts of a unit where units are counted.
        """
        for each in (self.low, self.high, self.step or 1) if whole else ():
            if each != int(each):
                raise UserError(f"{each} is no whole number, but the setting is one.")
        return [int(each) if whole else each for each in (self.low, self.high)]

    def near(self, value: Any) -> float:
        """Return the number of the range that is nearest to a setting's own value."""
        near = min(max(value, self.low), self.high)
        steps = round((near - self.low) / self.step) if self.step else 0
        return type(near)(self.low + steps * self.step) if self.step else near


@dataclass(frozen=True)
class Choice:
    """Draw one of some values, which may be lists, such as the widths of layers."""

    choices: list[Any]

    def draw(self, trial: "optuna.Trial", name: str, whole: bool) -> Any:
        """Return a value. Optuna knows no lists: it sees what is no text as JSON."""
        if len(self.choices) == 1:
            return self.choices[0]
        texts = {_text(each): each for each in self.choices}
        return texts[trial.suggest_categorical(name, list(texts))]

    def ends(self, whole: bool) -> list[Any]:
        """Return all values."""
        return self.choices

    def near(self, value: Any) -> str:
        """Return a setting's own value as Optuna sees it, or the first where it is no choice."""
        return _text(value if value in self.choices else self.choices[0])


Bounds: TypeAlias = Range | Choice


def read_bounds(value: Any, where: str) -> Bounds:
    """Return the range or the choice that a section describes."""
    kind: type[Bounds] = Choice if "choices" in mapping(value, where) else Range
    bounds: Bounds = construct(kind, resolve(kind, value, where), where)
    if isinstance(bounds, Choice) and not bounds.choices:
        raise UserError(f"{where}: choices is empty; name at least one.")
    return bounds


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
