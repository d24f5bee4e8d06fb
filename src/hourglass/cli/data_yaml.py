"""The commented text of a data set's file in configs/data."""

import json
import math
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

import yaml

from hourglass.core.errors import printable

if TYPE_CHECKING:
    from hourglass.data.readers.table_inspection import UnusableColumn

NOTES = {
    "normal": "the labels of normal samples; all others are anomalies",
    "scaling": "or minmax, none; fitted to the training split",
    "size": "pixels per side to resize to; more keeps smaller defects visible and takes longer",
    "missing": "leave out rows with an empty cell; or refuse",
    "fractions": "of the normal samples, in the five splits",
    "latent_dim": "size of the code; `hourglass tune` searches for a better one",
    "hidden": "widths of the layers of dense variants",
    "channels": "of convolutional variants",
    "patience": "epochs without a better validation error until the training stops",
}


def data_set_yaml(
    header: Iterable[str],
    class_path: str,
    init_args: Mapping[str, Any],
    sections: Mapping[str, Mapping[str, Any]],
    unusable: Iterable["UnusableColumn"] = (),
) -> str:
    """Return the text of configs/data/<name>.yaml.

    `header` are comment lines, `sections` the sections `model` and `training`. Unusable columns are
    added to the list `drop`, with the reason.
    """
    lines = [
        *(f"# {printable(line)}" for line in header),
        f"class_path: {class_path}",
        "init_args:",
    ]
    lines += _settings(init_args)
    lines += _drop(init_args.get("drop", ()), unusable)
    for name, values in sections.items():
        lines += [f"{name}:", *_settings(values)]
    return "\n".join(lines) + "\n"


def yaml_value(value: Any) -> str:
    """Return a value on one line of YAML; text that YAML would read as another type is quoted."""
    if not str(value).isprintable() or "\\n" in str(value):
        return json.dumps(value)  # on one line, and YAML as well
    text = yaml.safe_dump(
        value, default_flow_style=True, width=math.inf, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def _settings(values: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, value in values.items():
        if key != "drop":
            comment = f"  # {NOTES[key]}" if key in NOTES else ""
            lines.append(f"  {key}: {yaml_value(value)}{comment}")
    return lines


def _drop(chosen: Iterable[str], unusable: Iterable["UnusableColumn"]) -> list[str]:
    """Return the list `drop`: the user's choice, then unusable columns by kind."""
    lines = [f"    - {yaml_value(name)}" for name in chosen]
    by_kind = sorted(unusable, key=lambda column: column.kind)
    for kind, columns in groupby(by_kind, key=lambda column: column.kind):
        lines.append(f"    # {kind}")
        for column in columns:
            found = f"  # {column.found}" if column.found else ""
            lines.append(f"    - {yaml_value(column.name)}{found}")
    return ["  drop:  # columns that are not features", *lines] if lines else []
