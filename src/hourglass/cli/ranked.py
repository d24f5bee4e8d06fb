"""The ranked table of `try`: all samples, the most abnormal first, with the reasons."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from hourglass.cli.score import score
from hourglass.cli.try_summary import DEFECTS, EVENTS, RANKED
from hourglass.core.csv_formulas import write_csv
from hourglass.core.paths import Cell
from hourglass.data.columns.arrow_cells import plain, texts
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.detection.attribution import TOP_FEATURES
from hourglass.detection.reasons import SEPARATOR

if TYPE_CHECKING:
    from hourglass.cli.data_plan import DataPlan
    from hourglass.data.prepared_data import Split


@dataclass(frozen=True)
class Ranked:
    """All samples, and the events of a series, the most abnormal first."""

    samples: pd.DataFrame
    events: pd.DataFrame | None


def rank_samples(
    cell: Cell, plan: "DataPlan", data: Path, id: str | None, skip_damaged: bool = False
) -> Ranked:
    """Score all samples of `data` as `hourglass score` does; write and return ranked tables."""
    scores, found = Path("scores.parquet"), Path("scores-events.parquet")
    defects = Path("scores-defects.parquet")
    with redirect_stdout(io.StringIO()):
        score(
            *(cell.data, cell.model, data, scores, id),
            resize=True,
            heat_maps=10,
            skip_damaged=skip_damaged,
        )
    table = None if plan.is_images else data
    scored = pd.read_parquet(scores)
    samples = ranked_table(scored, Prepared.open(cell.prepared), plan.labels, table)
    scores.unlink()
    for other in (EVENTS, DEFECTS):
        other.unlink(missing_ok=True)  # of a run with other options
    events = None
    if defects.exists():
        write_csv(ranked_defects(pd.read_parquet(defects), samples), DEFECTS)
        defects.unlink()
    if plan.times is not None:
        samples.insert(2, "time", plan.times[samples.index])
        if plan.entities is not None:
            samples.insert(2, "entity", plan.entities[samples.index])
        events = ranked_events(pd.read_parquet(found), samples, scored["contribution_1"])
        found.unlink()
        _write(events, EVENTS)
    _write(samples, RANKED)
    return Ranked(samples, events)


def ranked_defects(defects: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Return the defects of `hourglass score` by the rank of their image, then by their number."""
    ranked = defects.copy()
    ranked.insert(0, "rank", defects["id"].map(samples.set_index("id")["rank"]))
    for name in ("score", "mean_score"):
        ranked[name] = [float(f"{value:.6g}") for value in ranked[name]]
    return ranked.sort_values(["rank", "number"], kind="stable")


def ranked_events(
    events: pd.DataFrame, samples: pd.DataFrame, contributions: pd.Series
) -> pd.DataFrame:
    """Return the events of `hourglass score`, the most abnormal first.

    The columns are rank; the entity if there is one, start, end and peak; score, p_value and split
    at the peak; and the time of the most unusual row with its label and reasons. `samples` is the
    ranked table of all rows, and `contributions` are the highest ones of each row, in file order.
    """
    from hourglass.detection.event_table import with_iso_dates

    found = with_iso_dates(events.sort_values("score", ascending=False, kind="stable"))
    ranked = pd.DataFrame({"rank": range(1, len(found) + 1)})
    for name in found.columns[1 : list(found.columns).index("score")]:
        ranked[name] = found[name].to_numpy()
    peak = samples.set_index("id").loc[found["peak_id"]]
    for name in ("score", "p_value", "split"):
        ranked[name] = peak[name].to_numpy()
    unusual = samples.loc[_most_unusual(found, samples, contributions)]
    ranked["most_unusual"] = unusual["time"].to_numpy()
    for name in ("label", "reasons"):
        if name in unusual:
            ranked[name] = unusual[name].to_numpy()
    return ranked


def _most_unusual(
    events: pd.DataFrame, samples: pd.DataFrame, contributions: pd.Series
) -> list[int]:
    """Return the row of each event with the highest contribution.

    The peak itself is often a usual row: all rows of the window with the highest score have that.
    """
    alarms = samples[samples["alarm"].fillna(False).astype(bool)].sort_index()
    row_of = pd.Series(samples.index, samples["id"])
    rows = []
    for names in zip(events["start_id"], events["end_id"], strict=True):
        first, last = sorted(row_of[name] for name in names)  # the newest row may come first
        inside = alarms.loc[first:last]
        if "entity" in inside:
            inside = inside[inside["entity"] == inside["entity"].loc[first]]
        highest = contributions[inside.index].fillna(0).to_numpy().argmax()
        rows.append(int(inside.index.to_numpy()[highest]))
    return rows


def ranked_table(
    scores: pd.DataFrame, prepared: Prepared, labels: np.ndarray | None, table: Path | None
) -> pd.DataFrame:
    """Return the columns rank, id, label, split, score, p_value, alarm and reasons, by rank.

    Images with a pixel threshold also have the number of their defects.

    `scores` is a table of `hourglass score` of the file that was prepared, in file order. `labels`
    are those of all samples, if there are any. `table` is the file if it is a table. `split` is
    empty for samples in no split, and so is the rank of samples without a score; these come last.
    """
    ranked = pd.DataFrame({"rank": scores["rank"].astype("Int64"), "id": scores["id"]})
    if labels is not None:
        ranked["label"] = labels
    ranked["split"] = _splits(scores, prepared, table)
    for name in ("score", "p_value", "alarm"):
        ranked[name] = scores[name]
    if "defects" in scores:
        ranked["defects"] = scores["defects"]
    ranked["reasons"] = _pictures(scores) if table is None else _reasons(scores)
    return ranked.sort_values("rank", kind="stable", na_position="last")


def _write(ranked: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV, with rounded numbers."""
    rounded = ranked.copy()
    for name in ("score", "p_value"):
        rounded[name] = [float(f"{value:.6g}") for value in ranked[name]]
    write_csv(rounded, path)


def _splits(scores: pd.DataFrame, prepared: Prepared, table: Path | None) -> pd.Series:
    """Return the split of each sample, by its id in the prepared data; "" if it has none."""
    split_of = {name: split for split in SPLITS for name in _ids(prepared, split)}
    written = texts(plain(pa.Array.from_pandas(scores["id"])))  # as in the prepared data
    ids = pd.Series(written.to_pylist(), scores.index, dtype=object)
    # Rows of a table without ids are called <file>/<row> in the prepared data.
    if table is not None and not ids.isin(split_of.keys()).any():
        ids = f"{table.name}/" + ids
    return ids.map(split_of).fillna("")


def _ids(prepared: Prepared, split: "Split") -> list[str]:
    return [str(name) for name in prepared.split(split).id]


def _pictures(scores: pd.DataFrame) -> pd.Series:
    """Return the path of a picture of each image: its heat map, else the overlay of an alarm."""
    if "overlay" not in scores:
        return scores["heat_map"]
    return scores["heat_map"].fillna(scores["overlay"])


def _reasons(scores: pd.DataFrame) -> pd.Series:
    """Return the reasons of each row as one text: values and what was expected."""
    names = [name for i in range(TOP_FEATURES) if (name := f"reason_{i + 1}") in scores]
    rows = zip(*(scores[name] for name in names), strict=True)
    joined = [SEPARATOR.join(text for text in row if isinstance(text, str)) for row in rows]
    return pd.Series(joined, scores.index, dtype=object)
