"""The table of latent-code studies: metrics of all cells with a study, and of references."""

import json
from typing import Any

import pandas as pd

from hourglass.core.paths import Cell
from hourglass.evaluation.report.tables import SPARSE_COLUMNS, STUDY_COLUMNS, Column, Table

REFERENCES = ("pca", "input")  # features in features.csv that need no network


def latent_code_table(data: list[str], models: list[str]) -> pd.DataFrame:
    """Return one row per cell with a study and one per reference, grouped by data set.

    Cells with the highest kNN accuracy come first, references last. Columns: data, model,
    baseline, latent_dim and the metrics of the studies. Cells without a study, or with an empty
    one, are omitted.
    """
    tables = [table for name in data if len(table := _data_set_table(name, models))]
    return pd.concat(tables or [pd.DataFrame(columns=["data", "model", "baseline", "latent_dim"])])


def _data_set_table(data: str, models: list[str]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    references: dict[tuple[str, int], dict[Any, Any]] = {}  # shared by cells of one latent_dim
    for cell in (Cell(data, model) for model in models):
        path, features = cell / "study/metrics.json", cell / "study/tables/features.csv"
        metrics = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not metrics:
            continue
        network = json.loads((cell / "train/network.json").read_text(encoding="utf-8"))
        names = {"data": data, "model": cell.model, "baseline": False}
        rows.append({**names, "latent_dim": network["init_args"]["latent_dim"], **metrics})
        if features.exists():
            table = pd.read_csv(features).rename(
                columns={"features": "model", "size": "latent_dim"}
            )
            for row in table[table.model.isin(REFERENCES)].to_dict("records"):
                reference = {"data": data, **row, "baseline": True}
                references[row["model"], row["latent_dim"]] = reference
    cells = pd.DataFrame(rows)
    if "kNN_accuracy" in cells:
        cells = cells.sort_values("kNN_accuracy", ascending=False, kind="stable")
    return pd.concat([cells, pd.DataFrame([references[key] for key in sorted(references)])])


def study_tables(codes: pd.DataFrame) -> dict[str, Table]:
    """Return the study metrics by data set; data sets without a study are missing."""
    return _tables(codes, STUDY_COLUMNS)


def sparse_tables(codes: pd.DataFrame) -> dict[str, Table]:
    """Return the metrics of sparse codes by data set; data sets without such codes are missing."""
    return _tables(codes, SPARSE_COLUMNS)


def _tables(codes: pd.DataFrame, columns: tuple[Column, ...]) -> dict[str, Table]:
    """Return the rows by data set that have a value in a column other than `latent_dim`."""
    names = [column.key for column in columns if column.key in codes and column.key != "latent_dim"]
    rows = codes[codes[names].notna().any(axis=1)]
    return {str(data): Table.of(table, columns) for data, table in rows.groupby("data", sort=False)}
