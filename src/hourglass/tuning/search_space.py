"""The search space of a study: one distribution per setting, read from YAML and checked."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hourglass.core.errors import UserError
from hourglass.core.yaml_config import (
    Yaml,
    arguments,
    construct,
    mapping,
    read,
    refuse_unknown,
    resolve,
)

if TYPE_CHECKING:
    import optuna

    from hourglass.training.cell_settings import CellSettings


@dataclass(frozen=True)
class Range:
    """A uniform distribution from `low` to `high`, log-uniform if `log` is true.

    With `step`, only `low` plus multiples of `step` are drawn.
    """

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

    def draw(self, trial: "optuna.Trial", name: str, integer: bool) -> float:
        """Draw a number from Optuna for the setting `name`; an int if `integer` is true."""
        step = None if self.log else self.step
        if integer:
            low, high = int(self.low), int(self.high)
            return trial.suggest_int(name, low, high, step=int(step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=step, log=self.log)

    def extremes(self, integer: bool) -> list[float]:
        """Return both ends of the range, for a check by the constructor.

        A constructor that accepts both ends accepts all numbers between them. Raises a UserError if
        the setting is an integer, but `low`, `high` or `step` is not.
        """
        for number in (self.low, self.high, self.step or 1) if integer else ():
            if number != int(number):
                raise UserError(f"{number} is not an integer, but the setting is one.")
        return [int(end) if integer else end for end in (self.low, self.high)]

    def nearest(self, value: Any) -> float:
        """Return the number of the range nearest to a value."""
        near = min(max(value, self.low), self.high)
        steps = round((near - self.low) / self.step) if self.step else 0
        return type(near)(self.low + steps * self.step) if self.step else near


@dataclass(frozen=True)
class Choice:
    """A uniform distribution over values of any type, for example lists of layer widths."""

    choices: list[Any]

    def draw(self, trial: "optuna.Trial", name: str, integer: bool) -> Any:
        """Draw a value.

        Optuna does not support lists, so all values except strings are passed to it as JSON.
        """
        if len(self.choices) == 1:
            return self.choices[0]
        values = {_text(value): value for value in self.choices}
        return values[trial.suggest_categorical(name, list(values))]

    def extremes(self, integer: bool) -> list[Any]:
        """Return all values."""
        return self.choices

    def nearest(self, value: Any) -> str:
        """Return `value` in the form stored by Optuna; the first choice if it is not a choice."""
        return _text(value if value in self.choices else self.choices[0])


Distribution: TypeAlias = Range | Choice
Groups: TypeAlias = dict[str, dict[str, dict[str, Distribution]]]  # group -> kind -> setting


@dataclass(frozen=True)
class Space:
    """Distributions of single settings, and groups of settings.

    A group has several kinds, each with distributions of the same settings. A trial draws one kind
    per group, and then the settings of that kind.
    """

    settings: dict[str, Distribution]
    groups: Groups
    integers: frozenset[str]  # names of the settings that are integers

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all settings that are searched."""
        names = (name for together in self._drawn_together() for name in together)
        return iter(dict.fromkeys(names))

    def draw(self, trial: "optuna.Trial") -> Yaml:
        """Draw the values of one trial; return them by constructor argument."""
        drawn = {
            name: distribution.draw(trial, name, name in self.integers)
            for name, distribution in self.settings.items()
        }
        for group, kinds in self.groups.items():
            kind = trial.suggest_categorical(group, list(kinds))
            for name, distribution in kinds[kind].items():
                drawn[name] = distribution.draw(trial, f"{kind}.{name}", name in self.integers)
        return drawn

    def start(self, settings: "CellSettings") -> dict[str, Any]:
        """Return the values of the space nearest to the cell's settings, for the first trial."""
        current = settings.init_args
        return {
            name: distribution.nearest(current[name])
            for name, distribution in self.settings.items()
            if current.get(name) is not None
        }

    def check(self, variant: type, settings: "CellSettings", where: str) -> None:
        """Raise a UserError if the constructor rejects an end of a range, or a choice."""
        for together in self._drawn_together():
            extremes = {}
            for name, distribution in together.items():
                try:
                    extremes[name] = distribution.extremes(name in self.integers)
                except UserError as error:
                    raise UserError(f"{where}, {name}: {error}") from None
            # A value may be valid only in combination with the other settings of its kind.
            args = settings.init_args | {name: values[-1] for name, values in extremes.items()}
            fixed = {"sample_shape": args.pop("sample_shape")}
            for name, values in extremes.items():
                for value in values:
                    here = f"{where}, {name} {value!r}"
                    construct(variant, resolve(variant, args | {name: value}, here, fixed), here)

    def _drawn_together(self) -> list[dict[str, Distribution]]:
        """Return the sets of settings drawn together: single settings, and the kinds of groups."""
        kinds = [settings for group in self.groups.values() for settings in group.values()]
        return [{name: plain} for name, plain in self.settings.items()] + kinds


def read_space(path: Path, variant: type, settings: "CellSettings") -> Space:
    """Read the search space of a variant from YAML, and check its extremes by the constructor.

    Settings that only other variants have are skipped. Raises a UserError that names the file and
    the setting for an unknown name, and for a value that the constructor rejects.
    """
    from hourglass.training.cell_settings import known_settings

    where, names = path.as_posix(), set(arguments(variant))
    plain, groups = {}, {}
    for name, value in read(path, None).items():
        if isinstance(value, dict) and "one_of" in value:
            groups[name] = _read_group(value, names, f"{where}, {name}")
        else:
            plain[name] = value
    refuse_unknown(plain, sorted(known_settings(variant)), where)
    taken = {
        name: _read_distribution(value, f"{where}, {name}")
        for name, value in plain.items()
        if name in names
    }
    current = settings.init_args
    integers = {name for name in current if isinstance(current[name], int)}
    booleans = {name for name in current if isinstance(current[name], bool)}
    space = Space(taken, groups, frozenset(integers - booleans))
    if not taken and not groups:
        raise UserError(f"{where} names no setting of {settings.model}.")
    space.check(variant, settings, where)
    return space


def _read_group(value: Yaml, names: set[str], where: str) -> dict[str, dict[str, Distribution]]:
    """Read the distributions of each kind of a group; a plain value becomes a single choice."""
    refuse_unknown(value, ("one_of",), where)
    kinds = {
        kind: mapping(settings, f"{where}, {kind}")
        for kind, settings in mapping(value["one_of"], where).items()
    }
    for kind, settings in kinds.items():
        refuse_unknown(sorted(settings), sorted(names), f"{where}, {kind}")
        # A setting missing from one kind would silently keep the cell's value there.
        if not settings or settings.keys() != next(iter(kinds.values())).keys():
            raise UserError(
                f"{where}: every kind must give the same settings, and {kind} does not."
            )
    if not kinds:
        raise UserError(f"{where}: one_of is empty; name at least one kind.")
    return {
        str(kind): {
            name: _read_distribution(
                value if isinstance(value, dict) else {"choices": [value]}, f"{where}, {kind}"
            )
            for name, value in settings.items()
        }
        for kind, settings in kinds.items()
    }


def _read_distribution(value: Any, where: str) -> Distribution:
    kind: type[Distribution] = Choice if "choices" in mapping(value, where) else Range
    distribution: Distribution = construct(kind, resolve(kind, value, where), where)
    if isinstance(distribution, Choice) and not distribution.choices:
        raise UserError(f"{where}: choices is empty; name at least one.")
    return distribution


def _text(value: Any) -> str:
    """Return a value in the form stored by Optuna: a string unchanged, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
