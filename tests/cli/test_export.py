"""Command `export`: a file that depends on the detector only."""

from pathlib import Path

import pytest

from hourglass.cli.export import export
from tests.cli import TABLE


@pytest.mark.slow
def test_exporting_twice_gives_the_same_file(cells, drawing_here, capfd):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    path = export(*TABLE, drawing_here / "first.onnx")
    printed = capfd.readouterr()
    first = path.read_bytes()
    assert export(*TABLE, drawing_here / "other.onnx").read_bytes() == first
    assert printed.out == (
        f"{path} gives the scores of breast_cancer-linear (checked with onnxruntime)\n"
    )
    assert printed.err == ""
    model = onnx.load_from_string(first)
    assert [output.name for output in model.graph.output] == ["score", "alarm", "reconstruction"]
    assert {entry.key for entry in model.metadata_props} >= {"cell", "feature_names", "threshold"}
    assert str(Path(__file__).parents[2]).encode() not in first


def test_another_suffix_is_refused(refusal):
    assert "ends in .onnx" in refusal(export, *TABLE, Path("model.pt"))
