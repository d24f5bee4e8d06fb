"""A dictionary of another tool as a cell: import, train, study without labels, and export."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from hourglass.cli.export import export
from hourglass.cli.import_ import import_
from hourglass.core.errors import UserError
from hourglass.data.prepared_data import Prepared
from hourglass.data.table_encoding import LINEAR_LIMIT
from hourglass.networks.sae_files import WEIGHTS, read_dictionary, write_dictionary
from hourglass.networks.sparse import SparseDictionary
from hourglass.networks.weights import load
from hourglass.stages.prepare import prepare
from hourglass.stages.references import references
from hourglass.stages.study import study
from hourglass.stages.train import train
from tests.workspaces import FakeRecorder, set_up, set_yaml, working_in

DATA, MODEL, UNITS = "breast_cancer", "imported", 40


def write_foreign(folder: Path, inputs: int) -> SparseDictionary:
    """Write a dictionary of random directions for vectors around 50."""
    torch.manual_seed(0)
    network = SparseDictionary((inputs,), UNITS, "topk", k=4).requires_grad_(False).eval()
    network.b_dec.fill_(50)
    write_dictionary(network, folder, np.zeros(inputs), np.ones(inputs), {})
    return network


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """Give a working folder with a trained cell of an imported dictionary."""
    folder = set_up(tmp_path_factory.mktemp("sparse") / "workspace")
    with working_in(folder, FakeRecorder()):
        prepare(DATA)
        write_foreign(Path("foreign"), Prepared.open(Path("data/prepared") / DATA).sample_shape[0])
        import_(Path("foreign"), MODEL)
        train(DATA, MODEL)
        references(DATA)
    return folder


def test_an_imported_dictionary_encodes_unscaled_samples(workspace):
    with working_in(workspace, FakeRecorder()):
        prepared = Prepared.open(Path("data/prepared") / DATA)
        network, foreign = (
            load(Path("runs", DATA, MODEL, "train")),
            read_dictionary(Path("foreign")),
        )
        x = np.asarray(prepared.x("test"))
        x = x[np.abs(prepared.scaling(x)).max(1) < LINEAR_LIMIT]  # larger inputs are compressed
        z = network.encode(torch.from_numpy(prepared.scaling(x))).numpy()
    assert isinstance(network, SparseDictionary)
    expected = foreign.encode(torch.from_numpy(x).float()).numpy()
    np.testing.assert_allclose(z, expected, rtol=1e-3, atol=1e-3)  # elements of up to 4,000


def test_sparse_codes_of_a_table_are_studied_without_labels(workspace):
    recorder = FakeRecorder()
    with working_in(workspace, recorder):
        folder = workspace / study(DATA, MODEL).parent
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["L0"] <= 4
    assert {"FVU", "FVU_mean_of_samples", "dead_units", "dense_units"} < metrics.keys()
    assert {path.name for path in (folder / "tables").iterdir()} == {
        "units.csv",
        "unit_samples.csv",
    }
    assert len(pd.read_csv(folder / "tables/units.csv")) == UNITS
    record = recorder.record("study")
    assert record.metrics["codes/L0"] == pytest.approx(metrics["L0"], rel=1e-4)
    uploaded = {Path(path).name for path, _ in record.files}
    assert "firing_frequencies.png" in uploaded
    assert "unit_samples.csv" not in uploaded  # rows of a private table


def test_study_false_turns_the_study_of_sparse_codes_off(workspace):
    with working_in(workspace, FakeRecorder()):
        before = Path("params.yaml").read_text()
        set_yaml(Path("params.yaml"), "study", value={DATA: False})
        references(DATA)
        folder = study(DATA, MODEL).parent
        assert json.loads((folder / "metrics.json").read_text()) == {}
        Path("params.yaml").write_text(before)
        references(DATA)


def test_exporting_gives_the_imported_files(workspace, capsys):
    with working_in(workspace, FakeRecorder()):
        export(DATA, MODEL, sae=Path("again"))
        first, second = load_file(f"foreign/{WEIGHTS}"), load_file(f"again/{WEIGHTS}")
        with pytest.raises(UserError, match="holds other files"):
            export(DATA, MODEL, sae=Path("configs"))
        with pytest.raises(UserError, match="not both"):
            export(DATA, MODEL, Path("model.onnx"), Path("again"))
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-4, atol=1e-4)
    assert "again holds the dictionary of breast_cancer-imported" in capsys.readouterr().out


def test_other_networks_are_not_exported_as_dictionaries(workspace):
    with working_in(workspace, FakeRecorder()):
        train(DATA, "linear")
        with pytest.raises(UserError, match="is no sparse dictionary"):
            export(DATA, "linear", sae=Path("linear"))
        assert not Path("linear").exists()


def test_a_dictionary_of_other_vectors_is_refused(workspace):
    with working_in(workspace, FakeRecorder()):
        write_foreign(Path("seven"), 7)
        import_(Path("seven"), "of_seven")
        with pytest.raises(UserError, match="takes vectors of 7 elements"):
            train(DATA, "of_seven")
        with pytest.raises(UserError, match="exists; give the dictionary another name"):
            import_(Path("foreign"), "of_seven")
        with pytest.raises(UserError, match="does not exist"):
            import_(Path("nothing"), "other")
        assert not Path("configs/model/other.yaml").exists()
