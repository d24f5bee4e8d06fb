"""The search space of a study: an Optuna distribution per setting, read from YAML and checked."""

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from optuna.distributions import FloatDistribution, IntDistribution

from hourglass.core.errors import UserError, one_line
from hourglass.core.yaml_config import (
    Yaml,
    arguments,
    check_keys,
    construct,
    mapping,
    read,
    resolve,
)
from hourglass.tuning.study_spec import DEFAULT_SPACE

if TYPE_CHECKING:
    import optuna

    from hourglass.training.cell_settings import CellSettings

Range: TypeAlias = IntDistribution | FloatDistribution
Distribution: TypeAlias = Range | list[Any]  # a list holds choices of any type
Settings: TypeAlias = dict[str, Distribution]  # by constructor argument


@dataclass(frozen=True)
class Space:
    """Distributions of single settings, and groups of settings.

    A group has several kinds, each with distributions of the same settings. A trial draws one kind
    per group, and then the settings of that kind.
    """

    settings: Settings
    groups: dict[str, dict[str, Settings]]  # group -> kind -> settings
    notes: tuple[str, ...] = ()  # one clause per range that `fitted` has cut

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all searched settings."""
        return iter({name: None for settings in self._drawn_together() for name in settings})

    def draw(self, trial: "optuna.Trial") -> Yaml:
        """Draw the values of one trial; return them by constructor argument."""
        values = {name: _draw(trial, name, self.settings[name]) for name in self.settings}
        for group, kinds in self.groups.items():
            kind = trial.suggest_categorical(group, list(kinds))
            for name, distribution in kinds[kind].items():
                values[name] = _draw(trial, f"{kind}.{name}", distribution)
        return values

    def nearest(self, settings: "CellSettings") -> dict[str, Any]:
        """Return Optuna's parameters nearest to the cell's settings, except those of groups."""
        return {
            name: _nearest(distribution, settings.init_args[name])
            for name, distribution in self.settings.items()
            if settings.init_args.get(name) is not None
        }

    def check(self, variant: type, settings: "CellSettings", source: str) -> None:
        """Raise a UserError if the constructor rejects an end of a range, or a choice.

        A constructor that accepts both ends of a range accepts all numbers between them.
        """
        for together in self._drawn_together():
            extremes = {
                name: values if isinstance(values, list) else [values.low, values.high]
                for name, values in together.items()
            }
            # A value may be valid only in combination with the other settings of its kind.
            args = settings.init_args | {name: values[-1] for name, values in extremes.items()}
            fixed = {"sample_shape": args.pop("sample_shape")}
            for name, values in extremes.items():
                for value in values:
                    place = f"{source}, {name} {value!r}"
                    construct(variant, resolve(variant, args | {name: value}, place, fixed), place)

    def fitted(self, variant: type, settings: "CellSettings") -> "Space":
        """Return a space whose ranges of whole numbers are cut to what the constructor accepts.

        A range that does not hold the cell's setting, or a value accepted nearby, stays as it is.
        """
        ranges, notes = dict(self.settings), []
        for name, whole in self.settings.items():
            if isinstance(whole, IntDistribution):
                fits = partial(_accepts, variant, settings, name)
                low, high = _fitting_range(whole, settings.init_args[name], fits)
                if (low, high) != (whole.low, whole.high):
                    ranges[name] = IntDistribution(low, high, whole.log, whole.step)
                    notes.append(
                        f"{name} is searched from {low} to {high}, as {settings.model} on "
                        f"{settings.data} does not accept all of {whole.low} to {whole.high}"
                    )
        return Space(ranges, self.groups, tuple(notes))

    def _drawn_together(self) -> list[Settings]:
        """Return the sets of settings drawn together: single settings, and the kinds of groups."""
        kinds = [settings for group in self.groups.values() for settings in group.values()]
        return [{name: self.settings[name]} for name in self.settings] + kinds


def _accepts(variant: type, settings: "CellSettings", name: str, value: int) -> bool:
    """Return whether the constructor of a variant accepts a value, with the cell's settings."""
    try:
        construct(variant, settings.init_args | {name: value}, name)
    except UserError:
        return False
    return True


def _fitting_range(
    whole: IntDistribution, value: int, fits: Callable[[int], bool]
) -> tuple[int, int]:
    """Return the part of a range around the value nearest to `value` in which all numbers fit."""
    middle = min(max(value, whole.low), whole.high)
    ends = []
    for end, sign in ((whole.low, -1), (whole.high, 1)):
        values = range(middle, end + sign, sign)
        # Numbers that fit are adjacent, so the first one that does not can be bisected.
        count = bisect_left(values, True, key=lambda number: not fits(number))
        ends.append(middle + sign * (count - 1))
    low, high = ends
    return (low, high) if low <= high else (whole.low, whole.high)


def _draw(trial: "optuna.Trial", name: str, distribution: Distribution) -> Any:
    """Draw a value; Optuna does not support lists as choices, so it gets them as text."""
    if isinstance(distribution, list):
        if len(distribution) == 1:
            return distribution[0]
        values = {_text(value): value for value in distribution}
        return values[trial.suggest_categorical(name, list(values))]
    integer = isinstance(distribution, IntDistribution)
    suggest: Any = trial.suggest_int if integer else trial.suggest_float
    low, high, step = distribution.low, distribution.high, distribution.step
    return suggest(name, low, high, step=step, log=distribution.log)


def _nearest(distribution: Distribution, value: Any) -> float | str:
    """Return the parameter nearest to a value; the first choice if it is not a choice."""
    if isinstance(distribution, list):
        return _text(value if value in distribution else distribution[0])
    low, step = distribution.low, distribution.step
    near = min(max(value, low), distribution.high)
    return low + round((near - low) / step) * step if step else near


def _text(choice: Any) -> str:
    """Return a choice as stored by Optuna: a string unchanged, all else as JSON."""
    return choice if isinstance(choice, str) else json.dumps(choice)


def read_space(path: Path, variant: type, settings: "CellSettings") -> Space:
    """Read the search space of a variant from YAML, and check its extremes by the constructor.

    Settings that only other variants have are skipped. Raises a UserError that names the file and
    the setting for an unknown name, and for a value that the constructor rejects. Ranges of the
    default space are cut to values that it accepts.
    """
    from hourglass.training.cell_settings import known_settings

    source, values = path.as_posix(), read(path, None)
    groups = {
        name: value
        for name, value in values.items()
        if isinstance(value, dict) and "one_of" in value
    }
    single = {name: value for name, value in values.items() if name not in groups}
    check_keys(single, sorted(known_settings(variant)), source)
    names = arguments(variant)
    space = Space(
        {
            name: _read_distribution(value, name, settings, f"{source}, {name}")
            for name, value in single.items()
            if name in names
        },
        {
            name: _read_group(value, names, settings, f"{source}, {name}")
            for name, value in groups.items()
        },
    )
    if not space.settings and not groups:
        raise UserError(f"{source} names no setting of {settings.model}.")
    if path.stem == DEFAULT_SPACE:  # made for all data sets; others must fit as they are
        space = space.fitted(variant, settings)
    space.check(variant, settings, source)
    return space


def _read_group(
    value: Yaml, names: list[str], settings: "CellSettings", source: str
) -> dict[str, Settings]:
    """Read the distributions of each kind of a group; a plain value becomes a single choice."""
    check_keys(value, ("one_of",), source)
    kinds: dict[str, Settings] = {}
    for kind, section in mapping(value["one_of"], source).items():
        place = f"{source}, {kind}"
        section = mapping(section, place)
        check_keys(sorted(section), sorted(names), place)
        kinds[str(kind)] = {
            name: _read_distribution(content, name, settings, place)
            if isinstance(content, dict)
            else [content]
            for name, content in section.items()
        }
    if not kinds:
        raise UserError(f"{source}: one_of is empty; name at least one kind.")
    for kind, distributions in kinds.items():
        # A setting missing from one kind would silently keep the cell's value there.
        if not distributions or distributions.keys() != next(iter(kinds.values())).keys():
            raise UserError(
                f"{source}: every kind must give the same settings, and {kind} does not."
            )
    return kinds


def _read_distribution(
    value: Any, name: str, settings: "CellSettings", source: str
) -> Distribution:
    """Read choices, or a range of the type that the setting has in the cell."""
    if "choices" in mapping(value, source):
        check_keys(value, ("choices",), source)
        if not isinstance(value["choices"], list) or not value["choices"]:
            raise UserError(f"{source}: choices is {value['choices']!r}; list at least one.")
        return value["choices"]
    kind = IntDistribution if type(settings.init_args.get(name)) is int else FloatDistribution
    if not all(math.isfinite(end) for end in value.values() if isinstance(end, float)):
        raise UserError(f"{source}: low, high and step must be finite, but are {value}.")
    given = {key: content for key, content in value.items() if content is not None}
    if kind is IntDistribution:  # YAML may hold 8.0 for 8
        given = {
            key: int(content) if isinstance(content, float) and content.is_integer() else content
            for key, content in given.items()
        }
    try:
        return kind(**resolve(kind, given, source))
    except ValueError as error:
        raise UserError(f"{source}: {one_line(error)}.") from None
