"""Command `add`: a table or images of the user -> a data set of the workspace."""

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from hourglass.cli.data_plan import DataPlan, plan_data_set
from hourglass.cli.data_set_yaml import data_set_yaml
from hourglass.cli.own_data import OWN, stored, tracked_by_dvc, with_intervals
from hourglass.cli.roles import make_roles
from hourglass.core.atomic import write_text
from hourglass.core.errors import UserError, printable
from hourglass.core.paths import CONFIGS, PARAMS, valid_name
from hourglass.core.settings import model_config, params
from hourglass.core.suggestions import counted
from hourglass.core.yaml_edit import edited_yaml


def add(
    name: str,
    path: Path,
    label: str | None = None,
    normal: str | None = None,
    time: str | None = None,
    entity: str | None = None,
    intervals: Path | None = None,
    id: str | None = None,
    drop: str | None = None,
    rows: bool = False,
    skip_damaged: bool = False,
    replace: bool = False,
) -> None:
    """Add your own table, images or vectors to the workspace; other data sets stay.

    Writes configs/data/<name>.yaml with settings that suit the size of the data, and adds the name
    to `data:` in params.yaml. The kinds of all columns are listed there as comments, to be changed.
    A file outside data/own is copied there, so that the pipeline notices when it changes; data of
    more than 4 GB are not copied.

    Vectors, such as activations of a network, come in .safetensors, .npy, .npz or Parquet files;
    see `hourglass activations`.

    A table whose column of times has regular steps is a time series: the rows are scored in windows
    of the rows around them.

    Args:
        name: the name of the data set
        path: a table (.csv, .xlsx, .jsonl, .parquet and others), a folder or a pattern of tables, a
            folder of images with one subfolder per class or without any, a table of paths of
            images, an .npz file with an array x and, for classes, an array y, or a file, folder or
            pattern of vectors
        label: the column, or array beside the vectors, of labels; without it, all rows count as
            normal
        normal: the labels of normal samples, separated by commas (a label with a comma in double
            quotes); by default the most frequent label, and for images the folder called good,
            normal or ok
        time: the column of numbers or dates that the splits follow; if its steps are regular, the
            rows are a time series, scored in windows
        entity: the column that tells several time series apart, such as a machine, or file if each
            file is one
        intervals: the anomalous stretches of a time series: a .csv file with columns start and end,
            or a .json file with a list of [start, end], to measure the quality
        id: the column of row ids
        drop: columns to ignore, separated by commas
        rows: treat the rows of a time series as independent
        skip_damaged: skip image files that cannot be read, and name them
        replace: replace the data set of this name

    Examples:
        hourglass add pumps pumps.csv --label state --normal ok
        hourglass add castings photos/castings --normal good
        hourglass add machines machines.csv --time measured_at --entity machine

    """
    config = params()
    roles = make_roles(label, normal, time, entity, intervals, id, drop, rows, skip_damaged)
    settings = CONFIGS / "data" / f"{valid_name(name)}.yaml"
    _check_name(name, settings, path, replace)
    names = [name, *(other for other in config.data if other != name)]
    dataclasses.replace(config, data=names)  # checks that no two cells get the same name
    from hourglass.stages.baselines import feature_models

    features = bool(feature_models(config))
    scaling = "none" if _all_sparse(config.models) else "standard"
    plan = plan_data_set(path, roles, _alphas(config.calibration), features, scaling)
    print_plan(name, plan)
    text = PARAMS.read_text(encoding="utf-8")
    if name not in config.data:
        text = edited_yaml(PARAMS, lambda document: _insert(document, name))
    command = f"hourglass add {name} {shlex.quote(str(path))}{roles.options()}"
    with _restored_on_error(settings, PARAMS), stored(plan, name, path) as place:
        plan = with_intervals(plan, name)
        write_text(settings, data_set_yaml(plan, place, command))
        write_text(PARAMS, text)
    print(f"wrote {settings.as_posix()}, with the data in {place}")
    print(f"data sets in params.yaml: {', '.join(names)}")
    on = name if len(names) == 1 else f"each of {len(names)} data sets"
    variants = counted(len(config.models), "variant")
    print(f"next: hourglass repro    # trains {variants} on {on}")
    if plan.suits_features and not features:
        print(
            "of photographs, `feature` finds defects better than pixels do: add it to `models` in "
            "params.yaml first, then run this command again with --replace"
        )
    tracked = tracked_by_dvc(place)
    if tracked:
        print(f"to share the data: dvc add {shlex.quote(tracked)}    # then `dvc push`")


def _all_sparse(models: Sequence[str]) -> bool:
    """Return whether all variants are sparse autoencoders, which scale vectors themselves."""
    return all(".sparse" in str(model_config(name).get("class_path")) for name in models)


def _alphas(calibration: dict[str, Any]) -> tuple[float, ...]:
    """Return the false-alarm rate of a conformal threshold; () for other calibrators."""
    is_conformal = str(calibration.get("class_path", "")).endswith(".Conformal")
    return (float((calibration.get("init_args") or {}).get("alpha", 0.05)),) if is_conformal else ()


def print_plan(name: str, plan: DataPlan) -> None:
    """Print the content of the file, and what becomes of each column of a table."""
    from hourglass.data.columns.overview import column_lines

    print(printable(f"{name}: {' '.join(plan.content)}"))
    if plan.decisions:
        columns = [decision.to_dict() for decision in plan.decisions]
        print("\n".join(printable(f"  {line}") for line in column_lines(columns)))
    for hint in plan.hints:
        print(printable(hint))


def _check_name(name: str, settings: Path, path: Path, replace: bool) -> None:
    """Raise a UserError if there is a data set, or other data of the user, of this name."""
    # On some file systems, names that differ in case only are the same.
    taken = {file.stem.lower(): file for file in settings.parent.glob("*.yaml")}
    other = taken.get(name.lower())
    if other and (other != settings or not replace):
        raise UserError(
            f"there is a data set {other.stem!r} ({other.as_posix()}); choose another name"
            + (", or add --replace." if other == settings else ".")
        )
    if not replace:
        source = path.resolve()
        for file in OWN.glob(f"{name}*"):
            if name in (file.name, file.stem) and not source.is_relative_to(file.resolve()):
                raise UserError(
                    f"{file.as_posix()} exists and is not {path}; choose another name, or add "
                    "--replace."
                )


def _insert(document: CommentedMap, name: str) -> None:
    """Put a data set first, so that the report shows it first, and the comments stay in place."""
    # PyYAML reads some words, such as no, as other types.
    is_text = yaml.safe_load(name) == name
    document["data"].insert(0, name if is_text else SingleQuotedScalarString(name))


@contextmanager
def _restored_on_error(*paths: Path) -> Iterator[None]:
    """Restore files as they were before, if the block fails."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            elif path.read_bytes() != content:
                path.write_bytes(content)
        raise
