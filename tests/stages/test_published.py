"""Every variant on every published data set, through every stage: some of the real samples."""

import json
import math
import os
import shutil
import struct
from pathlib import Path

import pandas as pd
import pytest

from hourglass.data.prepared_data import Prepared
from hourglass.stages.prepare import prepare
from tests.stages.cells import run_cell
from tests.workspaces import ALL_VARIANTS, BOLTS, FakeRecorder, set_up, working_in

REAL = os.environ.get("HOURGLASS_DATA")
TABLES = ["credit_card"]
PUBLISHED = ["mnist", "fashion_mnist", "emnist", *TABLES]
PAIRS = [(data, model) for data in PUBLISHED for model in ALL_VARIANTS]
CELLS = [(data, model) for data, model in PAIRS if not (data in TABLES and model in BOLTS)]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_data,
    pytest.mark.skipif(REAL is None, reason="HOURGLASS_DATA is not set: no real data to test with"),
]


def cut(raw: Path, target: Path) -> None:
    """Copy the table, and the first images and labels of every file: bolts' models are slow."""
    for file in filter(Path.is_file, raw.rglob("*")):
        copy = target / file.relative_to(raw)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.name.endswith("-ubyte"):
            copy.write_bytes(first(file.read_bytes(), 500 if "train" in file.name else 100))
        else:
            shutil.copy(file, copy)


def first(idx: bytes, count: int) -> bytes:
    """Return an idx file with the first `count` of its items: 4 bytes, sizes, items."""
    head = 4 + 4 * idx[3]
    _, *sizes = struct.unpack(f">{idx[3]}I", idx[4:head])
    return idx[:4] + struct.pack(">I", count) + idx[8 : head + count * math.prod(sizes)]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Give a working folder with every published data set, prepared."""
    top = tmp_path_factory.mktemp("published")
    cut(Path(str(REAL)), top / "raw")
    folder = set_up(top / "workspace", epochs=1)
    with working_in(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOURGLASS_DATA", str(top / "raw"))
        for data in PUBLISHED:
            prepare(data)
    return folder


@pytest.mark.parametrize(("data", "model"), CELLS)
def test_a_variant_goes_through_every_stage(published, data, model):
    with working_in(published, FakeRecorder()):
        run_cell(data, model)
        test = Prepared.open(Path("data/prepared", data)).split("test")
    folder = published / "runs" / data / model / "evaluate"
    metrics = json.loads((folder / "metrics.json").read_text())
    scores = pd.read_parquet(folder / "scores.parquet")
    assert (scores.split == "test").sum() == len(test.x)
    assert (scores.score >= 0).all()
    assert 0 <= metrics["AUROC"] <= 1
    assert metrics["false_alarm_rate"] < 0.3  # alpha is 0.05, for 25 calibration samples and more
