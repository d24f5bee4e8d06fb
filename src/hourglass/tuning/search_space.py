"""What a study searches: the bounds of a variant's settings, read from YAML and checked."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from hourglass.tuning.distributions import Bounds, read_bounds

if TYPE_CHECKING:
    import optuna

    from hourglass.training.cell_settings import CellSettings


@dataclass(frozen=True)
class Space:
    """Hold what is drawn for each setting, and for `groups` of settings which of some to draw."""

    settings: dict[str, Bounds]
    groups: dict[str, dict[str, dict[str, Bounds]]]  # group -> kind -> setting -> bounds
    whole: frozenset[str]  # settings that are whole numbers

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all settings that are searched."""
        return iter(dict.fromkeys(name for name, _ in self._all()))

    def draw(self, trial: "optuna.Trial") -> Yaml:
        """Return the values of one trial, by the names of the constructor's arguments."""
        drawn = {
            key: each.draw(trial, key, key in self.whole) for key, each in self.settings.items()
        }
        for group, kinds in self.groups.items():
            kind = trial.suggest_categorical(group, list(kinds))
            for name, bounds in kinds[kind].items():
                drawn[name] = bounds.draw(trial, f"{kind}.{name}", name in self.whole)
        return drawn

    def start(self, settings: "CellSettings") -> dict[str, Any]:
        """Return the cell's own settings, as near as the space has them, for the first trial."""
        own = settings.init_args
        known = {key: each for key, each in self.settings.items() if own.get(key) is not None}
        return {key: each.near(own[key]) for key, each in known.items()}

    def check(self, kind: type, settings: "CellSettings", where: str) -> None:
        """Raise a UserError for an end of a range or a choice that the variant does not take."""
        for name, bounds in self._all():
            try:
                ends = bounds.ends(name in self.whole)
            except UserError as refusal:
                raise UserError(f"{where}, {name}: {refusal}") from None
            for value in ends:
                # A kind of a group may rule out what another setting has by itself.
                args = settings.init_args | self._with(name, bounds) | {name: value}
                fixed = {"sample_shape": args.pop("sample_shape")}
                here = f"{where}, {name} {value!r}"
                construct(kind, resolve(kind, args, here, fixed), here)

    def _with(self, name: str, bounds: Bounds) -> Yaml:
        """Return, for a setting of a group, one value for each of its kind's other settings."""
        for kinds in self.groups.values():
            for settings in kinds.values():
                if settings.get(name) is bounds:
                    ends = {key: each.ends(key in self.whole) for key, each in settings.items()}
                    return {key: values[-1] for key, values in ends.items()}
        return {}

    def _all(self) -> Iterator[tuple[str, Bounds]]:
        yield from self.settings.items()
        for kinds in self.groups.values():
            for settings in kinds.values():
                yield from settings.items()


def read_space(path: Path, kind: type, settings: "CellSettings") -> Space:
    """Return the space in a YAML file for a variant, every end of it tried on the constructor.

    A setting that other variants have is passed over. Raises a UserError that names the file and the
    setting for any other name, and for a value that the constructor refuses.
    """
    from hourglass.training.cell_settings import known_settings

    where, own = path.as_posix(), set(arguments(kind))
    plain, groups = {}, {}
    for name, value in read(path, None).items():
        if isinstance(value, dict) and "one_of" in value:
            groups[name] = _kinds(value, own, f"{where}, {name}")
        else:
            plain[name] = value
    refuse_unknown(plain, sorted(known_settings(kind)), where)
    taken = {key: read_bounds(each, f"{where}, {key}") for key, each in plain.items() if key in own}
    space = Space(taken, groups, _whole(taken, groups, settings))
    if not taken and not groups:
        raise UserError(f"{where} names no setting that {settings.model} takes.")
    space.check(kind, settings, where)
    return space


def _kinds(value: Yaml, own: set[str], where: str) -> dict[str, dict[str, Bounds]]:
    """Return the settings of each kind of a group; a plain value stands for itself."""
    refuse_unknown(value, ("one_of",), where)
    kinds = mapping(value["one_of"], where)
    sets = {kind: set(mapping(settings, f"{where}, {kind}")) for kind, settings in kinds.items()}
    for kind, names in sets.items():
        refuse_unknown(sorted(names), sorted(own), f"{where}, {kind}")
        # Else a setting of one kind would be whatever the cell has in the other.
        if not names or names != next(iter(sets.values())):
            raise UserError(
                f"{where}: every kind must give the same settings, and {kind} does not."
            )
    if not kinds:
        raise UserError(f"{where}: one_of is empty; name at least one kind.")
    return {
        str(kind): {
            name: read_bounds(
                each if isinstance(each, dict) else {"choices": [each]}, f"{where}, {kind}"
            )
            for name, each in settings.items()
        }
        for kind, settings in kinds.items()
    }


def _whole(
    plain: dict[str, Bounds],
    groups: dict[str, dict[str, dict[str, Bounds]]],
    settings: "CellSettings",
) -> frozenset[str]:
    """Return the settings that are whole numbers, by what the cell has there now."""
    all_names = {
        *plain,
        *(name for kinds in groups.values() for each in kinds.values() for name in each),
    }
    now = {name: settings.init_args.get(name) for name in all_names}
    return frozenset(key for key, each in now.items() if isinstance(each, int) and each is not True)
