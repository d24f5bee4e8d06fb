from pathlib import Path

import pytest

from hourglass.cli.export import export
from tests.workspaces import FakeRecorder, calibrated, set_up, working_in

CELL = ("breast_cancer", "undercomplete")


@pytest.mark.slow
def test_exporting_twice_gives_the_same_file(tmp_path, capfd):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    with working_in(set_up(tmp_path / "workspace"), FakeRecorder()):
        calibrated(CELL)
        capfd.readouterr()
        first = export(*CELL).read_bytes()
        printed = capfd.readouterr()
        assert export(*CELL, Path("other.onnx")).read_bytes() == first
    assert printed.out.splitlines() == [
        "breast_cancer-undercomplete.onnx gives the scores of breast_cancer-undercomplete (checked "
        "with onnxruntime)"
    ]
    assert printed.err == ""
    model = onnx.load_from_string(first)
    assert [each.name for each in model.graph.output] == ["score", "alarm", "reconstruction"]
    assert {each.key for each in model.metadata_props} >= {"cell", "feature_names", "threshold"}
    assert str(Path(__file__).parents[2]).encode() not in first


def test_another_suffix_is_refused(stage_folder, refusal):
    assert "ends in .onnx" in refusal(export, *CELL, Path("model.pt"))


def test_an_untrained_cell_is_refused(stage_folder, refusal):
    assert "hourglass train" in refusal(export, *CELL)
