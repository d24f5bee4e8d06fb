"""The options of `add` and `try`: the roles of columns, and the files to skip."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from hourglass.cli.name_lists import format_names, parse_names


@dataclass(frozen=True)
class Roles:
    """The roles that the user gives to columns, the normal classes, and two switches."""

    label: str | None = None
    normal: tuple[str, ...] = ()
    time: str | None = None
    entity: str | None = None  # the column that tells several series apart
    intervals: str | None = None  # the file of the anomalous stretches of a series
    id: str | None = None
    drop: tuple[str, ...] = ()
    rows: bool = False  # whether the rows of a series count as independent
    skip_damaged: bool = False  # whether to skip image files that cannot be read

    @property
    def columns(self) -> list[str]:
        """Return the columns with a role other than feature."""
        names = (self.label, self.time, self.entity, self.id)
        return [name for name in names if name is not None]

    @property
    def of_series(self) -> str:
        """Return the first given option that applies to series only, "" without any."""
        given = {"--entity": self.entity, "--intervals": self.intervals}
        return next((option for option, value in given.items() if value), "")

    def options(self) -> str:
        """Return the roles as options of the command line, each with a space in front."""
        lists = {"normal": format_names(self.normal), "drop": format_names(self.drop)}
        options = ""
        for key, value in (vars(self) | lists).items():
            if value:
                options += f" --{key.replace('_', '-')}"
                options += "" if value is True else f" {shlex.quote(value)}"
        return options


def make_roles(
    label: str | None = None,
    normal: str | None = None,
    time: str | None = None,
    entity: str | None = None,
    intervals: Path | None = None,
    id: str | None = None,
    drop: str | None = None,
    rows: bool = False,
    skip_damaged: bool = False,
) -> Roles:
    """Return the roles from the values of the options; lists are separated by commas."""
    file = None if intervals is None else str(intervals.expanduser().absolute())
    names = parse_names(normal or ""), parse_names(drop or "")
    return Roles(label, names[0], time, entity, file, id, names[1], rows, skip_damaged)
