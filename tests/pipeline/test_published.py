"""Every variant on every published data set, through every stage: real samples, a few batches."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from hourglass.data.packed import Prepared
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train

from .workspaces import BOLTS, EVERY, FakeRecorder, set_up, set_yaml, working_in

REAL = os.environ.get("HOURGLASS_DATA")
TABLES = ["credit_card"]
PUBLISHED = ["mnist", "fashion_mnist", "emnist", *TABLES]
CELLS = [
    (data, model)
    for data in PUBLISHED
    for model in EVERY
    if not (data in TABLES and model in BOLTS)
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_data,
    pytest.mark.skipif(REAL is None, reason="HOURGLASS_DATA is not set: no real data to test with"),
]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Give a working folder with every published data set, prepared."""
    raw = Path(str(REAL)).absolute()
    folder = set_up(tmp_path_factory.mktemp("published") / "workspace", epochs=1)
    for limit in ("limit_train_batches", "limit_val_batches"):
        set_yaml(folder / "configs/trainer/cpu.yaml", limit, value=8)
    with working_in(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOURGLASS_DATA", str(raw))
        for data in PUBLISHED:
            prepare(data)
    return folder


@pytest.mark.parametrize(("data", "model"), CELLS)
def test_a_variant_goes_through_every_stage(published, data, model):
    with working_in(published, FakeRecorder()):
        train(data, model)
        calibrate_threshold(data, model)
        evaluate(data, model)
        folder = Path("runs", data, model)
        found = json.loads((folder / "metrics.json").read_text())
        test = Prepared.open(Path("data/prepared", data)).split("test")
    scores = pd.read_parquet(published / folder / "scores.parquet")
    assert (scores.split == "test").sum() == len(test.x)
    assert (scores.score >= 0).all()
    assert 0 <= found["AUROC"] <= 1
    assert 0 < found["false_alarm_rate"] < 0.2  # the quantile of calibration samples asks for 0.05
