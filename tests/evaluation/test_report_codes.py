"""What the page and reports/codes.csv say of the cells' studies."""

import json
from pathlib import Path

import pandas as pd
import pytest

from hourglass.evaluation.report.codes import codes
from hourglass.evaluation.report.glossary import TERMS
from hourglass.evaluation.report.table_view import studied
from tests.workspaces import working_in


def write(folder: Path, model: str, size: int, metrics: dict[str, float]) -> None:
    """Write what is read of a studied cell of the data set d."""
    cell = folder / "runs/d" / model
    (cell / "study/tables").mkdir(parents=True)
    (cell / "study/metrics.json").write_text(json.dumps(metrics))
    (cell / "train").mkdir()
    (cell / "train/network.json").write_text(json.dumps({"init_args": {"latent_dim": size}}))
    if metrics:
        rows = [("code", size, 0.5), ("pca", size, 0.4), ("input", 64, 0.6)]
        table = pd.DataFrame(rows, columns=["features", "size", "kNN_accuracy"])
        table.to_csv(cell / "study/tables/features.csv", index=False)


@pytest.fixture
def found(tmp_path) -> pd.DataFrame:
    for model, size, metrics in (
        ("a", 8, {"kNN_accuracy": 0.7}),
        ("b", 8, {"kNN_accuracy": 0.9}),
        ("c", 4, {"kNN_accuracy": 0.8}),
        ("not_studied", 8, {}),
    ):
        write(tmp_path, model, size, metrics)
    with working_in(tmp_path):
        return codes(["d"], ["a", "b", "c", "not_studied", "not_there"])


def test_studied_cells_stand_with_the_best_first_and_references_once_below(found):
    rows = found[["model", "latent_dim", "baseline"]].to_records(index=False).tolist()
    cells = [("b", 8, False), ("c", 4, False), ("a", 8, False)]
    assert rows == [*cells, ("input", 64, True), ("pca", 4, True), ("pca", 8, True)]


def test_a_data_set_without_studies_has_no_rows(tmp_path):
    write(tmp_path, "a", 8, {})
    with working_in(tmp_path):
        assert len(codes(["d"], ["a"])) == 0


def test_the_page_shows_what_the_codes_of_tables_are_good_for():
    row = {
        "data": "d",
        "model": "a",
        "baseline": False,
        "latent_dim": 8,
        "copied_rows": 0.0,
        "AUROC_of_boosting_trained_on_synthetic_rows": 0.9,
        "AUROC_of_boosting_trained_on_real_rows": 0.95,
    }
    shown = [column.key for column in studied(pd.DataFrame([row]))["d"].columns]
    assert set(shown) == row.keys() - {"data", "model", "baseline"}
    assert set(shown) - {"latent_dim"} <= TERMS.keys()
