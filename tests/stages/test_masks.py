"""Images with masks of their defects in the stages: metrics of pixels, tables, figure and page."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.detection.detector import Detector
from hourglass.detection.scoring import reconstructions
from hourglass.stages.baselines import baselines
from hourglass.stages.compare import compare
from hourglass.stages.prepare import prepare
from tests.stages.cells import run_cell
from tests.workspaces import FakeRecorder, set_up, set_yaml, working_in

DATA, MODEL = "masked", "undercomplete"
PIXEL_METRICS = ("pixel_AUROC", "pixel_AP", "AUPRO")
AT_THRESHOLD = (
    *("pixel_false_alarm_rate", "defect_false_alarm_rate"),
    *("pixel_recall", "defect_recall"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a workspace in which a cell of images with masks has passed all stages."""
    folder = set_up(tmp_path_factory.mktemp("masks") / "workspace", 20)
    path = folder / f"configs/data/{DATA}.yaml"
    set_yaml(path, "class_path", value="tests.evaluation.masked_images.MaskedImages")
    set_yaml(path, "training", value={"batch_size": 32, "max_epochs": 20, "patience": 20})
    set_yaml(path, "model", value={"latent_dim": 2, "hidden": [16]})
    set_yaml(folder / "params.yaml", "trusted_modules", value=["tests"])
    set_yaml(folder / "params.yaml", "data", value=[DATA])
    set_yaml(folder / "params.yaml", "models", value=[MODEL])
    with working_in(folder, FakeRecorder()):
        prepare(DATA)
        baselines(DATA)
        run_cell(DATA, MODEL)
        compare()
    return folder


@pytest.fixture
def evaluated(folder) -> Path:
    """Return the folder of stage `evaluate`."""
    return folder / f"runs/{DATA}/{MODEL}/evaluate"


def test_metrics_of_pixels_are_those_of_smoothed_errors(folder, evaluated):
    found = json.loads((evaluated / "metrics.json").read_text())
    with working_in(folder, FakeRecorder()):
        detector, test = (
            Detector.of_cell(Cell(DATA, MODEL)),
            Prepared.open(folder / f"data/prepared/{DATA}").split("test"),
        )
    scoring = detector.scoring
    errors = reconstructions(scoring.network, test.x, scoring.scaling) - scoring.scaling(test.x)
    maps = gaussian_filter((errors**2).mean(1).astype(float), (0, 0.25, 0.25))
    expected = roc_auc_score(test.mask.ravel(), maps.ravel())
    assert found["pixel_AUROC"] == pytest.approx(expected, abs=1e-6)
    assert found["pixel_AUROC"] > 0.9
    assert {*PIXEL_METRICS, *AT_THRESHOLD} <= found.keys()
    assert "AUPIMO" not in found  # too few normal pixels
    alarms = maps > detector.pixels.threshold.value
    good = ~test.anomaly
    assert found["defect_false_alarm_rate"] == alarms[good].any((1, 2)).mean()
    assert found["pixel_false_alarm_rate"] == pytest.approx(alarms[good].mean())
    assert found["pixel_recall"] == pytest.approx(alarms[test.mask].mean())


def test_each_class_of_defects_has_metrics_of_its_pixels(evaluated):
    table = pd.read_csv(evaluated / "by_class.csv").set_index("label")
    assert table.loc[["scratch", "spot"], [*PIXEL_METRICS, "defect_recall"]].notna().all(axis=None)
    assert table.loc["good", list(PIXEL_METRICS)].isna().all()


def test_the_worst_image_of_each_class_is_drawn_and_on_the_page(folder, evaluated):
    assert (evaluated / "figures/defects.png").exists()
    page = (folder / "reports/index.html").read_text(encoding="utf-8")
    assert "<h5>Defects</h5>" in page
    assert "AUPRO" in page


def test_the_leaderboard_has_aupro_and_pixel_auroc(folder):
    table = pd.read_csv(folder / "reports/leaderboard.csv")
    row = table[table.model == MODEL].iloc[0]
    assert np.isfinite([row.AUPRO, row.pixel_AUROC]).all()
    header = (folder / "reports/leaderboard.md").read_text().split("| data")[1].split("\n")[0]
    assert "AUPRO" in header
    assert "pixel_AUROC" in header


def test_no_maps_are_left_behind(evaluated):
    assert not list(evaluated.glob(".*"))
