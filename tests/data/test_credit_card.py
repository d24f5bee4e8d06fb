"""Credit-card transactions: features, classes, subsets, invalid cells, and the download."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.data import credit_card
from hourglass.data.credit_card import FILE, CreditCard
from tests.data.conftest import REAL, real_data

COLUMNS = [f"V{i}" for i in range(1, 29)]


@pytest.fixture
def frame() -> pd.DataFrame:
    components = {name: np.arange(4) + i / 100 for i, name in enumerate(COLUMNS)}
    frame = pd.DataFrame({"Time": [0.0, 1.0, 1.0, 172792.0], **components})
    return frame.assign(Amount=[0.0, 149.62, 1.0, 2.5], Class=[0, 0, 1, 0])


@pytest.fixture
def load(tmp_path):
    def write_and_load(table: pd.DataFrame):
        path = tmp_path / FILE
        path.parent.mkdir(exist_ok=True)
        table.to_csv(path, index=False)
        return CreditCard().load(tmp_path)

    return write_and_load


def test_features_are_the_components_and_the_amount(load, frame):
    raw = load(frame)
    assert raw.feature_names == (*COLUMNS, "Amount")
    np.testing.assert_array_equal(raw.x[:, :-1], frame[COLUMNS])
    np.testing.assert_array_equal(raw.x[:, -1], frame["Amount"])
    assert raw.columns[-1].scaling == "log"
    assert raw.time.tolist() == [0.0, 1.0, 1.0, 172792.0]
    np.testing.assert_array_equal(load(frame.iloc[:, ::-1]).x, raw.x)  # columns in any order
    for name in ("x", "time", "label", "anomaly"):
        assert getattr(raw, name).flags.writeable


@pytest.mark.parametrize("quote", ["", "'"], ids=["plain", "OpenML"])
def test_frauds_are_the_anomalies(load, frame, quote):
    raw = load(frame.assign(Class=[f"{quote}{c}{quote}" for c in frame["Class"]]))
    assert raw.label[raw.anomaly].tolist() == ["fraud"]
    assert raw.anomaly.tolist() == [False, False, True, False]


def test_a_table_without_time_has_a_note(load, frame):
    raw = load(frame.drop(columns="Time"))
    assert raw.time is None
    assert "no column Time" in raw.source["note"]


def test_a_subset_is_reported_with_its_prevalence_and_checksum(load, frame, tmp_path):
    source = load(frame).source
    assert source["complete"] is False
    assert source["subset"].startswith("ULB subset (4 of 284,807 rows, 1 of 492 frauds)")
    assert source["prevalence"] == 0.25
    assert source["files"] == {FILE: hashlib.sha256((tmp_path / FILE).read_bytes()).hexdigest()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"V7": None}, "'V7'"),
        ({"Class": [0, 0, 2, 0]}, "'2' in row 3"),
        ({"Amount": [0.0, -3.0, 1.0, 2.0]}, "'-3.0' in row 2"),
        ({"V28": [0.0, 1.0, 2.0, np.nan]}, "'nan' in row 4"),
    ],
)
def test_a_missing_column_or_invalid_cell_is_rejected_by_name_and_row(
    load, frame, refusal, change, message
):
    sentence = refusal(load, frame.assign(**change).dropna(axis=1, how="all"))
    assert message in sentence
    assert f"{next(iter(change))!r}" in sentence


def test_only_a_table_with_the_official_counts_is_downloaded(
    tmp_path, host, frame, refusal, monkeypatch
):
    url, pages = host
    monkeypatch.setattr(credit_card, "MIRRORS", [f"{url}/table"])
    for content in (frame.to_csv(index=False).encode(), b"<html>moved</html>"):
        pages["/table"] = content
        assert "other contents than the official" in refusal(CreditCard().load, tmp_path)
        assert not (tmp_path / FILE).exists()
    header, row = ",".join([*COLUMNS, "Amount", "Class\n"]), "0," * 29
    pages["/table"] = (header + f"{row}0\n" * 284_315 + f"{row}1\n" * 492).encode()
    assert CreditCard().load(tmp_path).source["complete"] is True


@real_data
def test_the_real_table_is_sorted_by_time():
    raw = CreditCard().load(Path(str(REAL)))
    assert raw.time is not None
    assert (np.diff(raw.time) >= 0).all()
