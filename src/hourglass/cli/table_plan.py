"""The plan of a table, or of a time series: what `add` and `try` write about its columns."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.cli.data_plan import SERIES, TABLE, DataPlan, train_rows
from hourglass.cli.normal_labels import (
    LABEL_WORDS,
    count_anomalies,
    interval_sentence,
    label_hint,
    label_names,
    label_sentence,
    most_frequent,
)
from hourglass.cli.roles import Roles
from hourglass.cli.series_plan import SeriesForm, find_series, refuse_series_options
from hourglass.cli.suggested_settings import series_fractions, split_fractions
from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.columns.column import Column, Reason
from hourglass.data.columns.inference import used_columns
from hourglass.data.intervals import FILE
from hourglass.data.readers.read_options import ReadOptions

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.data.base import Raw
    from hourglass.data.columns.decision import Decision
    from hourglass.data.inferred_table import InferredTable
    from hourglass.data.readers.table_source import TableSource
    from hourglass.data.series import Series
    from hourglass.data.table import Table

# Names of a column that is the label rather than a feature, unless it has more values.
LABEL_NAMES = {"label", "labels", "class", "target", "y", "anomaly", "outlier", "is_anomaly"}
MAX_LABELS = 10
ENCODED_ROWS = 10_000  # from which the number of network inputs is determined
LABEL = Reason("the label, by its name", "set `label` to it, and `normal` to its normal values")


def plan_table(
    file: Path, roles: Roles, alphas: Sequence[float], frame: "pd.DataFrame | None"
) -> DataPlan:
    """Inspect a table, which is a file, a folder, a pattern or the `frame`; see `plan_data_set`.

    Rows at regular times are planned as a series.
    """
    from hourglass.data.frames import frame_table
    from hourglass.data.readers.table_source import open_table
    from hourglass.data.table import Table

    if roles.normal and roles.label is None:
        raise UserError(f"normal is {','.join(roles.normal)!r}, but label names no column; add it.")
    if roles.skip_damaged:
        raise UserError(f"--skip-damaged skips image files, but {file} is a table; omit it.")
    read = ReadOptions(file_column=FILE if roles.entity == FILE else None)
    source = open_table(file, read) if frame is None else frame_table(frame, file)
    table = Table(str(file), roles.label, id=roles.id, time=roles.time, drop=roles.drop)
    inferred = _infer(table, source)
    init_args: dict[str, Any] = {}
    labels, normal = table.row_labels(inferred), inferred.rows
    if labels is not None:
        known = labels[labels != ""]
        names = label_names(known, roles.normal or (most_frequent(known),), file)
        init_args = {"label": roles.label, "normal": names}
        normal = int(np.isin(labels, names).sum())
    table.normal = init_args.get("normal")
    form = "" if roles.rows else find_series(inferred, roles, normal, alphas)
    if isinstance(form, SeriesForm):
        return _plan_series(table, inferred, roles, form, alphas, labels, init_args)
    if form and roles.entity is None and len(source.files) > 1:
        roles_by_file = replace(roles, entity=FILE)
        by_file = _infer(table, open_table(file, ReadOptions(file_column=FILE)))
        if isinstance(find_series(by_file, roles_by_file, normal, alphas), SeriesForm):
            return plan_table(file, roles_by_file, alphas, frame)
    refuse_series_options(roles, form, source.path)
    raw = _load(table, inferred, roles, 2)
    normal = int((~raw.anomaly).sum())
    init_args |= {key: value for key in ("id", "time") if (value := getattr(roles, key))}
    alpha, fractions = split_fractions(normal, alphas)
    init_args |= {"scaling": "auto"} | ({"fractions": fractions} if fractions else {})
    used = counted(len(used_columns(inferred.decisions)), "feature")
    first = f"{counted(inferred.rows, 'row')} with {used} ({source.describe()})."
    content = [first, *_content(inferred, raw, labels)]
    content.append(label_sentence(init_args, normal, count_anomalies(raw.label, raw.anomaly)))
    hints = [f"Rows are treated as independent: {form}."] if form else []
    return DataPlan(
        TABLE,
        init_args | _dropped(inferred, roles),
        train_rows(normal, init_args),
        _input_shape(table, raw),
        content,
        labels,
        alpha,
        inferred.decisions,
        hints=[*hints, *(_label_hints(inferred) if labels is None else [])],
    )


def _plan_series(
    table: "Table",
    inferred: "InferredTable",
    roles: Roles,
    form: SeriesForm,
    alphas: Sequence[float],
    labels: np.ndarray | None,
    init_args: dict[str, Any],
) -> DataPlan:
    """Plan a series; `table` is the same file without the roles that only a series has."""
    from hourglass.data.series import Series
    from hourglass.data.table_roles import text_cells

    source = inferred.source
    intervals = _intervals(roles, source, form.entity)
    series = Series(
        table.path,
        form.time,
        form.entity,
        table.label,
        table.normal,
        intervals=[[*interval] for interval in intervals] or None,
        window=form.window,
        id=table.id,
        drop=table.drop,
    )
    inferred = _infer(series, source)
    raw = _load(series, inferred, roles, 1)
    normal, anomalies = int((~raw.anomaly).sum()), count_anomalies(raw.label, raw.anomaly)
    channels = counted(len(used_columns(inferred.decisions)), "channel")
    content = [
        form.sentence,
        f"{channels} ({source.describe()}).",
        *_content(inferred, raw, labels),
    ]
    if intervals:
        labels = _interval_labels(series, inferred, intervals)
        content.append(interval_sentence(len(intervals), normal, sum(anomalies.values())))
    else:
        content.append(label_sentence(init_args, normal, anomalies))
    entities = None
    if form.entity is not None:
        entities = text_cells(inferred.batches.only(form.entity), form.entity)
    alpha, fractions = series_fractions(normal / form.window, form.entities, alphas)
    init_args |= {"id": roles.id} if roles.id else {}
    init_args |= {"time": form.time} | ({"entity": form.entity} if form.entity else {})
    init_args |= {"window": form.window, "scaling": "auto"}
    init_args |= {"fractions": fractions} if fractions else {}
    return DataPlan(
        SERIES,
        init_args | _dropped(inferred, roles),
        train_rows(normal, init_args),
        _input_shape(series, raw),
        content,
        labels,
        alpha,
        inferred.decisions,
        hints=_label_hints(inferred) if labels is None else [],
        times=text_cells(inferred.batches.only(form.time), form.time),
        entities=entities,
        has_dates=form.is_date,
        intervals=intervals,
    )


def _infer(table: "Table", source: "TableSource") -> "InferredTable":
    """Infer the columns; one that is the label by its name is left out."""
    inferred = table.infer(source)
    return replace(inferred, decisions=[_without_label(each) for each in inferred.decisions])


def _load(table: "Table", inferred: "InferredTable", roles: Roles, least: int) -> "Raw":
    """Load the rows; raise a UserError for fewer than `least` features, or equal ids."""
    _require_features(inferred, least)
    raw = table.load_inferred(inferred)
    if roles.id is not None:
        _require_unique(raw.id, roles.id, inferred.source.path)
    return raw


def _content(inferred: "InferredTable", raw: "Raw", labels: np.ndarray | None) -> list[str]:
    """Return sentences about missing cells and rows that are left out."""
    content = []
    if missing := int(np.isnan(raw.x).any(1).sum()):
        content.append(f"{counted(missing, 'row')} with a missing cell.")
    if left_out := inferred.rows - len(raw.x):
        without = "any value" if labels is None else "a label, or without any value"
        content.append(f"Left out: {counted(left_out, 'row')} without {without}.")
    return content


def _input_shape(table: "Table", raw: "Raw") -> tuple[int, ...]:
    return table.fit_encoding(raw, raw.x[:ENCODED_ROWS]).input_shape


def _dropped(inferred: "InferredTable", roles: Roles) -> dict[str, list[str]]:
    """Return the setting `drop`, if there is one."""
    dropped = [*roles.drop, *(d.name for d in inferred.decisions if d.reason == LABEL)]
    return {"drop": dropped} if dropped else {}


def _intervals(roles: Roles, source: "TableSource", entity: str | None) -> list[list[str]]:
    """Return the intervals that the user names, as text; [] without any."""
    from hourglass.data.intervals import read_interval_file
    from hourglass.data.readers.user_files import resolve_path

    if roles.intervals is None:
        return []
    if roles.label is not None:
        raise UserError("--label and --intervals both name anomalies; omit one of them.")
    path = resolve_path(roles.intervals)
    found = read_interval_file(path, source.files, entity)
    if not found:
        raise UserError(
            f"{path} holds no interval for {source.path}; correct it, or omit --intervals."
        )
    return [[str(value) for value in interval[:3]] for interval in found]


def _interval_labels(
    series: "Series", inferred: "InferredTable", intervals: list[list[str]]
) -> np.ndarray:
    """Return whether each row lies in an interval, (N,) str."""
    from hourglass.data.intervals import in_intervals, read_intervals
    from hourglass.data.table_roles import role_codes

    assert series.time is not None
    column, source = series.time_column(inferred, series.time), inferred.source
    times = series.times(inferred, None)
    assert times is not None
    entity = None
    if series.entity is not None:
        entity = role_codes(inferred, Column(series.entity, "entity"), None)
    found = read_intervals(intervals, column, source, series.entity)
    inside = in_intervals(times, entity, found, source.path)
    return np.where(inside, "anomaly", "normal")


def _label_hints(inferred: "InferredTable") -> list[str]:
    """Return a sentence about the first column that may be the label, if there is one."""
    from hourglass.data.table_roles import text_cells

    for decision in inferred.decisions:
        name, is_used = decision.name, decision.column is not None
        if not (is_used or decision.reason == LABEL) or decision.distinct > MAX_LABELS:
            continue
        if LABEL_WORDS.match(name):
            hint = label_hint(name, text_cells(inferred.batches.only(name), name), is_used)
            if hint:
                return [hint]
    return []


def _without_label(decision: "Decision") -> "Decision":
    """Return the decision; a column that is the label by its name is left out."""
    is_label = decision.name.lower() in LABEL_NAMES and decision.distinct <= MAX_LABELS
    if decision.column is not None and is_label:
        return replace(decision, column=None, reason=LABEL, notes=())
    return decision


def _require_unique(ids: np.ndarray, name: str, file: Path) -> None:
    """Raise a UserError if two rows have the same id, which could not tell their results apart."""
    values, counts = np.unique(ids, return_counts=True)
    if counts.max() > 1:
        raise UserError(
            f"column {name!r} of {file} holds {str(values[counts.argmax()])!r} more than once, "
            "so it is no id; omit --id, and give the column to --drop if it is no feature."
        )


def _require_features(inferred: "InferredTable", least: int) -> None:
    """Raise a UserError for a table with fewer than `least` features."""
    count = sum(decision.column is not None for decision in inferred.decisions)
    if count < least:
        problems = ", ".join(
            f"{decision.name} ({decision.reason.cause})"
            for decision in inferred.decisions
            if decision.reason is not None
        )
        raise UserError(
            f"{inferred.source.path} has {counted(count, 'usable feature')}, "
            f"but an autoencoder needs {'two' if least == 2 else 'one'}; not usable: "
            f"{problems or 'no other column'}."
        )
