"""`hourglass.leaderboard`: current results only, with typed columns."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import hourglass
from hourglass.stages.calibrate_threshold import calibrate_threshold
from tests.api.conftest import IMAGES, TABLE
from tests.workspaces import FakeRecorder, set_yaml, working_in


def test_it_has_a_row_per_cell_and_baseline(evaluated):
    table = hourglass.leaderboard(evaluated)
    cells = table[~table.baseline]
    assert {*zip(cells.data, cells.model, strict=True)} == {TABLE, IMAGES}
    for row in cells.itertuples():
        path = evaluated / "runs" / row.data / row.model / "evaluate/metrics.json"
        assert json.loads(path.read_text())["AUROC"] == row.AUROC
    baselines = json.loads((evaluated / "runs" / TABLE[0] / "baselines.json").read_text())
    assert {*table[table.baseline].model} == baselines.keys()
    best_first = table[table.data == TABLE[0]].AUROC
    assert best_first.is_monotonic_decreasing
    assert table.baseline.dtype == bool
    assert pd.api.types.is_integer_dtype(table.latent_dim)


def test_a_cell_that_changed_since_its_evaluation_is_left_out(evaluated, tmp_path):
    folder = shutil.copytree(evaluated, tmp_path / "workspace")
    set_yaml(folder / "params.yaml", "calibration", "init_args", "alpha", value=0.2)
    with working_in(folder, FakeRecorder()):
        calibrate_threshold(*TABLE)
        with pytest.warns(UserWarning, match="breast_cancer/undercomplete is left out"):
            table = hourglass.leaderboard()
    assert table[~table.baseline].data.tolist() == [IMAGES[0]]


def test_an_empty_workspace_says_so(tmp_path, refusal):
    assert "has no evaluated cell" in refusal(hourglass.leaderboard, tmp_path)


def test_it_does_not_import_torch(evaluated):
    program = "import hourglass, sys; hourglass.leaderboard(); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(evaluated), check=False)
    assert done.returncode == 0
