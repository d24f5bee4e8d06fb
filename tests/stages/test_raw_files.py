"""A detector takes the raw file of its data set: the scores are those of the test split."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_breast_cancer

from hourglass.cli.score import score
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.detection.detector import Detector
from tests.mixed_tables import mixed_frame
from tests.workspaces import FakeRecorder, calibrated, set_up, set_yaml, working_in

CREDIT_CARD = Path(os.environ.get("HOURGLASS_DATA", "data/raw")).absolute() / "creditcard"
SMALL = {"latent_dim": 2, "hidden": [8]}


def mixed_raw() -> pd.DataFrame:
    """Return rows with text, dates, missing and rare cells, and columns that are no features."""
    frame = mixed_frame(600, 1)
    frame.loc[:2, "service"] = ["rare", "tftp", None]
    frame["row"] = [f"r{i}" for i in range(len(frame))]
    frame["note"] = [f"the text number {i} of them all" for i in range(len(frame))]
    frame["state"] = np.where(np.arange(len(frame)) % 10 == 0, "bad", "ok")
    return frame


def assert_raw_scores(cell: tuple[str, str], raw: Path, ids: pd.Series, out: Path) -> None:
    """Score a raw file; compare the rows of the test split with the detector's scores."""
    detector = Detector.of_cell(Cell(*cell))
    test = Prepared.open(Cell(*cell).prepared).split("test")
    expected = detector.scoring(np.asarray(test.x))
    table = pd.read_parquet(score(*cell, raw, out)).set_index(ids)
    np.testing.assert_allclose(table.score[test.id], expected, rtol=1e-6)
    assert table.alarm[test.id].tolist() == detector.threshold(expected).tolist()
    known = table[table.reason_1.notna()]
    assert (known.contribution_1 > 0).all()


FORMATS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "semicolons": lambda frame, path: frame.to_csv(path, index=False, sep=";", decimal=","),
    "parquet": lambda frame, path: frame.to_parquet(path),
}


@pytest.mark.parametrize("other", FORMATS)
def test_a_mixed_table_in_any_format(tmp_path, other):
    folder, frame = set_up(tmp_path / "workspace"), mixed_raw()
    frame.to_csv(folder / "mine.csv", index=False)
    settings = {"path": "mine.csv", "label": "state", "normal": "ok", "id": "row"}
    path = folder / "configs/data/mine.yaml"
    path.write_text(
        yaml.safe_dump({"class_path": "hourglass.data.table.Table", "init_args": settings})
    )
    set_yaml(path, "model", value=SMALL)
    set_yaml(path, "training", value={"batch_size": 32, "max_epochs": 2, "patience": 5})
    raw = tmp_path / ("raw.parquet" if other == "parquet" else "raw.csv")
    FORMATS[other](frame[frame.columns[::-1]].assign(more=1), raw)
    with working_in(folder, FakeRecorder()):
        calibrated(("mine", "denoising"))
        assert_raw_scores(("mine", "denoising"), raw, frame.row, tmp_path / "out.parquet")
        columns = {
            column.name: column for column in Detector.of_cell(Cell("mine", "denoising")).columns
        }
    assert columns.keys() == {"amount", "service", "member", "when", "TSH"}


def test_a_format_that_was_set_for_prepare_holds_for_new_rows(tmp_path):
    folder, frame = set_up(tmp_path / "workspace"), mixed_raw()
    text = "// of the line\n" + frame.to_csv(index=False).replace("\n", "\n// between rows\n", 3)
    (folder / "mine.csv").write_text(text)
    settings = {"path": "mine.csv", "label": "state", "normal": "ok", "read": {"comment": "//"}}
    path = folder / "configs/data/mine.yaml"
    path.write_text(
        yaml.safe_dump({"class_path": "hourglass.data.table.Table", "init_args": settings})
    )
    set_yaml(path, "model", value=SMALL)
    set_yaml(path, "training", value={"batch_size": 32, "max_epochs": 1, "patience": 5})
    ids = pd.Series([f"mine.csv/{row}" for row in range(1, len(frame) + 1)])
    frame.to_parquet(tmp_path / "raw.parquet")
    with working_in(folder, FakeRecorder()):
        calibrated(("mine", "linear"))
        for raw in (Path("mine.csv"), tmp_path / "raw.parquet"):
            assert_raw_scores(("mine", "linear"), raw, ids, tmp_path / "out.parquet")


def test_breast_cancer(tmp_path):
    bunch = load_breast_cancer()
    frame = pd.DataFrame(bunch.data, columns=bunch.feature_names).assign(target=bunch.target)
    raw = tmp_path / "breast_cancer.csv"
    frame.to_csv(raw, index=False)
    ids = pd.Series([f"breast_cancer/{row}" for row in range(len(frame))])
    with working_in(set_up(tmp_path / "workspace"), FakeRecorder()):
        calibrated(("breast_cancer", "linear"))
        assert_raw_scores(("breast_cancer", "linear"), raw, ids, tmp_path / "out.parquet")


@pytest.mark.skipif(not CREDIT_CARD.exists(), reason="HOURGLASS_DATA has no creditcard")
def test_credit_card(tmp_path, monkeypatch):
    folder = set_up(tmp_path / "workspace")
    set_yaml(folder / "configs/data/credit_card.yaml", "training", "max_epochs", value=1)
    raw = CREDIT_CARD / "creditcard.csv"
    ids = pd.Series([f"creditcard/{row}" for row in range(1, len(pd.read_csv(raw)) + 1)])
    with working_in(folder, FakeRecorder()):
        monkeypatch.setenv("HOURGLASS_DATA", str(CREDIT_CARD.parent))
        calibrated(("credit_card", "undercomplete"))
        assert_raw_scores(("credit_card", "undercomplete"), raw, ids, tmp_path / "out.parquet")
