"""What the cells' codes are good for, side by side: the figures of their studies."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.core.paths import Cell

if TYPE_CHECKING:
    import pandas as pd

REFERENCES = ("pca", "input")  # rows of features.csv that are no network's


def codes(data: list[str], models: list[str]) -> "pd.DataFrame":
    """Return a row a studied cell, the best neighbours first, and rows of what they compare with.

    Data set by data set. Columns: data, model, baseline, latent_dim, and the metrics of the
    studies. Cells without a study, or with an empty one, are left out.
    """
    import pandas as pd

    found = [table for name in data if len(table := _of_one(name, models))]
    return pd.concat(found or [pd.DataFrame(columns=["data", "model", "baseline", "latent_dim"])])


def _of_one(data: str, models: list[str]) -> "pd.DataFrame":
    """Return the rows of one data set."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    others: dict[tuple[str, int], dict[str, Any]] = {}
    for cell in (Cell(data, model) for model in models):
        metrics = _metrics(cell / "study/metrics.json")
        if metrics:
            size = json.loads((cell / "train/network.json").read_text(encoding="utf-8"))
            rows.append(_row(cell, False, size["init_args"]["latent_dim"], metrics))
            others |= {(row["model"], row["latent_dim"]): row for row in _references(cell)}
    table = pd.DataFrame(rows)
    if "kNN_accuracy" in table:
        table = table.sort_values("kNN_accuracy", ascending=False, kind="stable")
    compared = pd.DataFrame([others[key] for key in sorted(others)])
    return pd.concat([table, compared])


def _metrics(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _references(cell: Cell) -> list[dict[str, Any]]:
    """Return what the same classifiers make of PCA with the code's size, and of the input."""
    import pandas as pd

    path = cell / "study/tables/features.csv"
    if not path.exists():
        return []
    table = pd.read_csv(path)
    found = []
    for row in table[table.features.isin(REFERENCES)].to_dict("records"):
        metrics = {str(key): value for key, value in row.items() if key not in ("features", "size")}
        found.append(_row(Cell(cell.data, row["features"]), True, int(row["size"]), metrics))
    return found


def _row(cell: Cell, baseline: bool, latent_dim: int, metrics: dict[str, Any]) -> dict[str, Any]:
    names = {"data": cell.data, "model": cell.model, "baseline": baseline}
    return {**names, "latent_dim": latent_dim, **metrics}
