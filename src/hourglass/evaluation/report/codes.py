"""The table of latent-code studies: metrics of all cells with a study, and of references."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.core.paths import Cell

if TYPE_CHECKING:
    import pandas as pd

REFERENCES = ("pca", "input")  # features in features.csv that need no network


def latent_code_table(data: list[str], models: list[str]) -> "pd.DataFrame":
    """Return one row per cell with a study and one per reference, grouped by data set.

    Cells with the highest kNN accuracy come first, references last. Columns: data, model,
    baseline, latent_dim and the metrics of the studies. Cells without a study, or with an empty
    one, are omitted.
    """
    import pandas as pd

    tables = [table for name in data if len(table := _data_set_table(name, models))]
    return pd.concat(tables or [pd.DataFrame(columns=["data", "model", "baseline", "latent_dim"])])


def _data_set_table(data: str, models: list[str]) -> "pd.DataFrame":
    """Return the rows of one data set."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    references: dict[tuple[str, int], dict[str, Any]] = {}
    for cell in (Cell(data, model) for model in models):
        metrics = _metrics(cell / "study/metrics.json")
        if metrics:
            network = json.loads((cell / "train/network.json").read_text(encoding="utf-8"))
            rows.append(_row(cell, False, network["init_args"]["latent_dim"], metrics))
            references |= {(row["model"], row["latent_dim"]): row for row in _references(cell)}
    table = pd.DataFrame(rows)
    if "kNN_accuracy" in table:
        table = table.sort_values("kNN_accuracy", ascending=False, kind="stable")
    return pd.concat([table, pd.DataFrame([references[key] for key in sorted(references)])])


def _metrics(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    metrics: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return metrics


def _references(cell: Cell) -> list[dict[str, Any]]:
    """Return the rows of a cell's references: PCA with the same latent_dim, and the input."""
    import pandas as pd

    path = cell / "study/tables/features.csv"
    if not path.exists():
        return []
    table = pd.read_csv(path)
    rows = []
    for row in table[table.features.isin(REFERENCES)].to_dict("records"):
        metrics = {str(key): value for key, value in row.items() if key not in ("features", "size")}
        rows.append(_row(Cell(cell.data, row["features"]), True, int(row["size"]), metrics))
    return rows


def _row(cell: Cell, baseline: bool, latent_dim: int, metrics: dict[str, Any]) -> dict[str, Any]:
    names = {"data": cell.data, "model": cell.model, "baseline": baseline}
    return {**names, "latent_dim": latent_dim, **metrics}
