"""The analysis of sparse codes: its metrics, tables and contact sheets, on images and on tables."""

import numpy as np
import pytest
import torch

from hourglass.data.columns.column import Column
from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Scaling
from hourglass.data.table_encoding import TableEncoding
from hourglass.networks.sparse import SparseDictionary
from hourglass.studies.sparse_codes import analysis, code_blocks
from hourglass.studies.sparse_codes.analysis import analyse_sparse_codes
from hourglass.studies.sparse_codes.code_blocks import CodeReader
from hourglass.studies.sparse_codes.units import input_names
from tests.studies.conftest import SIDE, write_splits

UNITS = 5  # three are the classes, one is never active, one always


@pytest.fixture
def network() -> SparseDictionary:
    """Give a dictionary whose first three units are the bright elements of the classes."""
    network = SparseDictionary((1, SIDE, SIDE), UNITS, "jumprelu", k=1)
    with torch.no_grad():
        directions = torch.eye(UNITS, SIDE * SIDE)
        network.W_dec.copy_(directions)
        network.W_enc.copy_(directions.T)
        network.b_enc[4] = 1.0
        network.threshold[:] = torch.tensor([0.5, 0.5, 0.5, 9.0, 0.5])
    return network.eval().requires_grad_(False)


def test_units_that_are_classes_have_the_known_metrics(clusters, network):
    result = analyse_sparse_codes(clusters, network, seed=0)
    metrics = result.metrics
    assert metrics["L0"] == 2  # the unit of the class, and the one that is always active
    assert metrics["dead_units"] == 1 / UNITS
    assert metrics["dense_units"] == 4 / UNITS
    assert metrics["sparse_probing_accuracy_1"] == metrics["sparse_probing_F1_5"] == 1
    assert metrics["absorption_fraction"] == metrics["full_absorption"] == 0
    test = clusters.split("test")
    x = clusters.scaling(test.x[~test.anomaly]).reshape(60, -1).astype(float)
    z = network.encode(torch.from_numpy(x.astype(np.float32))).double().numpy()
    error = ((x - z @ network.W_dec.double().detach().numpy()) ** 2).sum()
    assert metrics["FVU"] == pytest.approx(error / ((x - x.mean(0)) ** 2).sum(), rel=1e-5)
    classes = result.tables["unit_classes"].set_index("class")
    assert classes.units_1.to_dict() == {"a": "0", "b": "1", "c": "2"}
    assert classes.main_units.to_dict() == {"a": "0", "b": "1", "c": "2"}


def test_top_samples_are_of_the_class_of_the_unit(clusters, network):
    samples = analyse_sparse_codes(clusters, network, seed=0).tables["unit_samples"]
    for unit, label in enumerate("abc"):
        rows = samples[samples.unit == unit]
        assert set(rows.label) == {label}
        assert rows["rank"].tolist() == [*range(1, 11)]
        assert rows.activation.is_monotonic_decreasing
    assert 3 not in samples.unit.tolist()  # the dead unit


def test_images_have_a_sheet_per_twenty_units(clusters, network, monkeypatch):
    monkeypatch.setattr(analysis, "UNITS_PER_SHEET", 3)
    figures = analyse_sparse_codes(clusters, network, seed=0).figures
    assert figures.keys() == {"firing_frequencies", "units", "units_01", "units_02"}


def test_small_blocks_give_the_same_result(clusters, network, monkeypatch):
    whole = analyse_sparse_codes(clusters, network, seed=0)
    monkeypatch.setattr(code_blocks, "MAX_BLOCK_ELEMENTS", 7 * SIDE * SIDE)
    test = clusters.split("test")
    reader = CodeReader(network, test.x, np.arange(60), clusters.scaling)
    assert [len(block.x) for block in reader.blocks()] == [7] * 8 + [4]
    blocks = analyse_sparse_codes(clusters, network, seed=0)
    assert blocks.metrics == pytest.approx(whole.metrics)
    for name, table in whole.tables.items():
        assert table.equals(blocks.tables[name]) or name == "units"


def one_class(folder, scaling, make, **card) -> Prepared:
    """Return a data set of one class, without anomalies."""
    return write_splits(
        folder,
        lambda name: (make(name), np.full(30, "normal"), np.zeros(30, bool)),
        scaling,
        **card,
    )


def test_vectors_of_one_class_need_no_labels(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    prepared = one_class(tmp_path / "vectors", Scaling.none(), lambda _: x)
    network = SparseDictionary((6,), 8, "topk", k=2).eval().requires_grad_(False)
    result = analyse_sparse_codes(prepared, network, seed=0)
    assert result.tables.keys() == {"units", "unit_samples"}
    assert result.figures.keys() == {"firing_frequencies"}
    assert result.metrics["L0"] <= 2
    unit = result.tables["units"].iloc[0]
    largest = int(network.W_dec[0].abs().argmax())
    assert unit.input_1 == f"dimension {largest}"
    assert unit.weight_1 == pytest.approx(float(network.W_dec[0, largest]))
    row = result.tables["unit_samples"].query("unit == 0 and rank == 1").iloc[0]
    sample = int(row.id.rpartition("/")[2])
    assert row.value_1 == f"dimension {largest} = {x[sample, largest]:.4g}"


def test_units_of_a_table_name_its_columns_and_levels(tmp_path):
    rng = np.random.default_rng(0)
    columns = [Column("age"), Column("colour", "categorical", ("red", "blue"))]
    codes = np.column_stack([rng.normal(40, 10, 30), rng.integers(0, 2, 30)]).astype(float)
    encoding = TableEncoding.fit(columns, codes)
    prepared = one_class(
        tmp_path / "table",
        encoding,
        lambda _: codes,
        feature_names=["age", "colour"],
        columns=[column.to_dict() for column in columns],
    )
    assert input_names(prepared) == ["age", "colour = red", "colour = blue", "colour = (other)"]
    network = SparseDictionary((4,), 3, "l1", k=1)
    network.add_heads(prepared.heads or [])
    with torch.no_grad():
        network.W_dec.copy_(torch.tensor([[2.0, 1, 0, 0], [0, 3, -1, 0], [0, 0, 0, 1]]))
        network.W_enc.copy_(network.W_dec.T)
    result = analyse_sparse_codes(prepared, network.eval(), seed=0)
    assert result.tables["units"].input_1.tolist() == ["age", "colour = red", "colour = (other)"]
    first = result.tables["unit_samples"].query("unit == 0").iloc[0]
    sample = int(first.id.rpartition("/")[2])
    assert first.value_1 == f"age = {codes[sample, 0]:.4g}"
    assert first.value_2 == f"colour = {('red', 'blue')[int(codes[sample, 1])]}"
