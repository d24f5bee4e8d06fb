"""The ranked table of `try`: all samples, the most abnormal first, with the reasons."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hourglass.cli.score import score
from hourglass.core.csv_formulas import write_csv
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.detection.attribution import TOP_FEATURES

if TYPE_CHECKING:
    from hourglass.cli.data_plan import DataPlan
    from hourglass.data.prepared_data import Split


def rank_samples(
    cell: Cell, plan: "DataPlan", data: Path, id: str | None, out: Path
) -> pd.DataFrame:
    """Score all samples of `data` as `hourglass score` does; write and return the ranked table."""
    scores = Path("scores.parquet")
    with redirect_stdout(io.StringIO()):
        score(cell.data, cell.model, data, scores, id, missing="skip", resize=True, heat_maps=10)
    table = data if plan.is_table else None
    ranked = ranked_table(pd.read_parquet(scores), Prepared.open(cell.prepared), plan.labels, table)
    _write(ranked, out)
    scores.unlink()
    return ranked


def ranked_table(
    scores: pd.DataFrame, prepared: Prepared, labels: np.ndarray | None, table: Path | None
) -> pd.DataFrame:
    """Return the columns rank, id, label, split, score, p_value, alarm and reasons, by rank.

    `scores` is a table of `hourglass score` of the file that was prepared, in file order. `labels`
    are those of all samples, if there are any. `table` is the file if it is a table: the reasons
    then hold the values of the features. `split` is empty for samples in no split, and so is the
    rank of samples without a score; these come last.
    """
    ranked = pd.DataFrame({"rank": scores["rank"].astype("Int64"), "id": scores["id"]})
    if labels is not None:
        ranked["label"] = labels
    ranked["split"] = _splits(scores, prepared, table)
    for name in ("score", "p_value", "alarm"):
        ranked[name] = scores[name]
    ranked["reasons"] = scores["heat_map"] if table is None else _reasons(scores, table)
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
    ids = pd.Series([str(value) for value in scores["id"]], scores.index)
    # Rows of a table without ids are called <file>/<row> in the prepared data.
    if table is not None and not ids.isin(split_of.keys()).any():
        ids = f"{table.name}/" + ids
    return ids.map(split_of).fillna("")


def _ids(prepared: Prepared, split: "Split") -> list[str]:
    return [str(name) for name in prepared.split(split).id]


def _reasons(scores: pd.DataFrame, table: Path) -> pd.Series:
    """Return the features that contributed most, with their values, per row.

    The number in brackets is the feature's squared error above its usual one, in standard
    deviations. Features without such an excess are left out.
    """
    from hourglass.data.readers.table_files import read_table

    values = read_table(table)
    reasons = pd.Series("", scores.index)
    for i in range(1, TOP_FEATURES + 1):
        if f"feature_{i}" not in scores:
            break
        excess = scores[f"contribution_{i}"]
        rows = np.flatnonzero(excess > 0)
        names = scores[f"feature_{i}"].astype(object).to_numpy()[rows]
        found = np.zeros(len(rows))
        for name in set(names):
            at = names == name
            found[at] = values[name].to_numpy(np.float64, na_value=np.nan)[rows[at]]
        shown = zip(names, found, excess.to_numpy()[rows], strict=True)
        texts = [f"{name}={value:.4g} (+{more:.3g})" for name, value, more in shown]
        reasons.iloc[rows] += ["; " * (i > 1) + text for text in texts]
    return reasons
