"""Sparse codes on the page: their table, the units of tables, and private rows."""

import pandas as pd
import pytest

from hourglass.core.paths import Cell
from hourglass.evaluation.report.codes import sparse_tables, study_tables
from hourglass.evaluation.report.glossary import MEANINGS, metric_title
from hourglass.evaluation.report.tables import SPARSE_COLUMNS
from hourglass.evaluation.report.units import SHOWN_UNITS, read_units

CODES = pd.DataFrame(
    [
        {"data": "digits", "model": "linear", "latent_dim": 8, "kNN_accuracy": 0.9},
        {"data": "digits", "model": "sparse", "latent_dim": 64, "kNN_accuracy": 0.8, "L0": 4.5},
        {"data": "table", "model": "sparse", "latent_dim": 64, "L0": 3.5, "FVU": 0.25},
    ]
).assign(baseline=False)


def test_sparse_codes_have_a_table_of_their_own():
    codes, sparse = study_tables(CODES), sparse_tables(CODES)
    assert codes.keys() == {"digits"}
    assert [row["model"] for row in codes["digits"].rows] == ["linear", "sparse"]
    assert "L0" not in [column.key for column in codes["digits"].columns]
    assert [row["model"] for row in sparse["digits"].rows] == ["sparse"]
    assert [column.key for column in sparse["table"].columns] == ["L0", "FVU", "latent_dim"]


def test_every_metric_of_sparse_codes_has_a_title_and_a_meaning():
    for column in SPARSE_COLUMNS[:-1]:
        assert MEANINGS[column.key]
        assert "_" not in metric_title(column.key)


@pytest.fixture
def cell(tmp_path, monkeypatch) -> Cell:
    """Give a cell with the tables of 30 units of a table, of which unit 0 is the rarest."""
    monkeypatch.chdir(tmp_path)
    cell = Cell("table", "sparse")
    folder = cell / "study/tables"
    folder.mkdir(parents=True)
    unit = range(30)
    units = {"unit": unit, "firing_frequency": [i / 30 for i in unit], "mean_activation": 1.5}
    weights = {"input_1": "age", "weight_1": 2.0, "input_2": "'=sum", "weight_2": -1.0}
    pd.DataFrame({**units, **weights}).to_csv(folder / "units.csv", index=False)
    samples = {"unit": [1, 1, *range(2, 30)], "rank": 1, "id": "a", "value_1": "age = 40"}
    pd.DataFrame(samples).to_csv(folder / "unit_samples.csv", index=False)
    return cell


def test_units_run_from_the_most_to_the_least_frequent_active_one(cell):
    units = read_units(cell)
    assert len(units) == SHOWN_UNITS
    assert (units[0]["unit"], units[-1]["unit"]) == ("29", "1")
    assert units[0]["weights"] == "age 2, =sum \N{MINUS SIGN}1"
    assert (units[0]["samples"], units[-1]["samples"]) == ("age = 40", "age = 40; age = 40")


def test_images_have_no_table_of_units(cell):
    path = cell / "study/tables/units.csv"
    pd.read_csv(path)[["unit", "firing_frequency"]].to_csv(path, index=False)
    assert read_units(cell) == []
    path.unlink()
    assert read_units(cell) == []
