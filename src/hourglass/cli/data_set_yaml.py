"""The commented text of a data set's file in configs/data."""

import json
import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from hourglass.cli.suggested_settings import new_settings
from hourglass.core.errors import printable

if TYPE_CHECKING:
    from hourglass.cli.data_plan import DataPlan

OWN_SIZES = ("ensemble", "feature")  # variants with sizes of their own
SIZES = ("latent_dim", "hidden", "channels")
MAX_KINDS = 60  # columns
UNUSED_KINDS = ("numeric", "datetime")  # of columns left out that have a kind
NOTES = {
    "normal": "the labels of normal samples; all others are anomalies",
    "scaling": "or standard, robust, minmax, quantile, log, none; of numeric columns",
    "key": "the name of the array or column of vectors",
    "label": "the column, or the array, of classes",
    "group": "vectors with the same number are in one split",
    "time": "the column of times, which gives the order of the rows",
    "entity": "the column that tells several series apart",
    "intervals": "start and end of the anomalous stretches",
    "window": "rows that are scored together; longer ones detect better in long series",
    "size": "pixels to scale to, of a side or [height, width]; more keeps smaller defects visible",
    "fit": "keeps the aspect ratio; resize stretches images, crop cuts them, tile keeps large ones",
    "fractions": "of the normal samples, in the five splits",
    "latent_dim": "size of the latent code; `hourglass tune` searches for a better one",
    "hidden": "widths of the layers of dense variants",
    "channels": "of convolutional variants",
    "patience": "epochs without a better validation error until the training stops",
}
VECTOR_SCALING = "or none, for sparse autoencoders alone, which centre and scale vectors themselves"


def data_set_yaml(plan: "DataPlan", path: str, command: str, variant: str = "") -> str:
    """Return the text of configs/data/<name>.yaml; `command` is the command that writes it.

    The settings suit `variant`, or most variants without one. Those that suit others are comments.
    """
    lines = [f"# {printable(line)}" for line in (f"Written by `{command}`.", *plan.content)]
    lines += [f"class_path: {plan.class_path}", "init_args:"]
    settings = _settings({"path": path, **plan.init_args})
    if plan.is_vectors:
        settings = [line.replace(NOTES["scaling"], VECTOR_SCALING) for line in settings]
    lines += [*settings, *_kinds(plan), *_drop(plan)]
    model, training = _sections(plan, variant)
    sizes_of_others = SIZES if variant in OWN_SIZES else ()
    lines += ["model:", *_settings(model, sizes_of_others)]
    others = {k: v for k, v in _sections(plan, "")[1].items() if training[k] != v}
    note = f"  # of {variant}; for other variants: {yaml_value(others)}" if others else ""
    lines += [f"training:{note}", *_settings(training)]
    return "\n".join(lines) + "\n"


def _sections(plan: "DataPlan", variant: str) -> tuple[dict[str, Any], dict[str, Any]]:
    sections = new_settings(plan.train_rows, plan.input_shape, variant)
    return sections["model"], sections["training"]


def yaml_value(value: Any) -> str:
    """Return a value on one line of YAML; text that YAML would read as another type is quoted."""
    if not str(value).isprintable() or "\\n" in str(value):
        return json.dumps(value)  # on one line, and YAML as well
    text = yaml.safe_dump(
        value, default_flow_style=True, width=math.inf, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def _settings(values: Mapping[str, Any], for_others: Collection[str] = ()) -> list[str]:
    lines = []
    for key, value in values.items():
        if key in for_others:
            lines.append(f"  # {key}: {yaml_value(value)}  # for other variants; {NOTES[key]}")
        elif key != "drop":
            comment = f"  # {NOTES[key]}" if key in NOTES else ""
            lines.append(f"  {key}: {yaml_value(value)}{comment}")
    return lines


def _kinds(plan: "DataPlan") -> list[str]:
    """Return the kinds of columns, commented: of all, or of a wide table those not numeric."""
    decisions = [decision for decision in plan.decisions if decision.name not in _dropped(plan)]
    if len(decisions) > MAX_KINDS:
        decisions = [d for d in decisions if d.column is None or d.kind != "numeric"][:MAX_KINDS]
    lines = []
    for decision in decisions:
        used = decision.column is not None
        kind = decision.kind if used or decision.kind in UNUSED_KINDS else "categorical"
        found = "" if decision.decision == "used" else f"  # {printable(decision.decision)}"
        lines.append(f"    # {yaml_value(decision.name)}: {kind}{found}")
    note = "inferred, as below; remove a # to set one: numeric, boolean, categorical or datetime"
    return [f"  kinds:  # {note}", *lines] if lines else []


def _drop(plan: "DataPlan") -> list[str]:
    """Return the list `drop`: columns that the user named, and the label by its name."""
    reasons = {decision.name: decision.reason for decision in plan.decisions}
    lines = []
    for name in _dropped(plan):
        reason = f"  # {printable(str(reasons[name]))}" if reasons.get(name) else ""
        lines.append(f"    - {yaml_value(name)}{reason}")
    return ["  drop:  # columns that are not features", *lines] if lines else []


def _dropped(plan: "DataPlan") -> list[str]:
    names: list[str] = plan.init_args.get("drop", [])
    return names
