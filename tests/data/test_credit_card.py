import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.data.credit_card import FILE, CreditCard, download

REAL = os.environ.get("HOURGLASS_DATA")


@pytest.fixture
def frame() -> pd.DataFrame:
    columns = {f"V{i}": np.arange(4) + i / 100 for i in range(1, 29)}
    return pd.DataFrame(
        {
            "Time": [0.0, 1.0, 1.0, 172792.0],
            **columns,
            "Amount": [0.0, 149.62, 1.0, 2.5],
            "Class": [0, 0, 1, 0],
        }
    )


@pytest.fixture
def load(tmp_path):
    def write_and_load(table: pd.DataFrame):
        path = tmp_path / FILE
        path.parent.mkdir(exist_ok=True)
        table.to_csv(path, index=False)
        return CreditCard().load(tmp_path)

    return write_and_load


def test_features_are_the_components_and_the_amount(load, frame):
    assert load(frame).feature_names == (*(f"V{i}" for i in range(1, 29)), "log_amount")


def test_time_is_kept_beside_the_features(load, frame):
    assert load(frame).time.tolist() == [0.0, 1.0, 1.0, 172792.0]


def test_the_amount_is_on_a_log_scale(load, frame):
    np.testing.assert_allclose(load(frame).x[:, -1], np.log([1, 150.62, 2, 3.5]), rtol=1e-6)


def test_frauds_are_the_anomalies(load, frame):
    raw = load(frame)
    assert raw.label[raw.anomaly].tolist() == ["fraud"]
    assert np.flatnonzero(raw.anomaly).tolist() == [2]


def test_classes_in_openmls_quotes_are_understood(load, frame):
    quoted = load(frame.assign(Class=[f"'{c}'" for c in frame["Class"]]))
    assert quoted.anomaly.tolist() == [False, False, True, False]


def test_a_table_without_time_has_none_and_says_so(load, frame):
    raw = load(frame.drop(columns="Time"))
    assert raw.time is None
    assert "no column Time" in raw.source["note"]


def test_columns_are_taken_by_name_in_any_order(load, frame):
    np.testing.assert_array_equal(load(frame.iloc[:, ::-1]).x, load(frame).x)


def test_a_subset_says_so_with_its_prevalence(load, frame):
    source = load(frame).source
    assert source["complete"] is False
    assert source["subset"].startswith("ULB subset (4 of 284,807 rows, 1 of 492 frauds)")
    assert source["prevalence"] == 0.25


def test_the_file_is_fingerprinted(load, frame, tmp_path):
    digest = hashlib.sha256
    raw = load(frame)
    assert raw.source["files"] == {FILE: digest((tmp_path / FILE).read_bytes()).hexdigest()}


@pytest.mark.parametrize("name", ["x", "time", "label", "anomaly"])
def test_arrays_can_be_written_to(load, frame, name):
    assert getattr(load(frame), name).flags.writeable


def test_a_missing_column_is_refused_by_name(load, frame, refusal):
    assert "'V7'" in refusal(load, frame.drop(columns="V7"))


def test_an_unknown_class_is_refused_with_its_row(load, frame, refusal):
    assert "'2' in row 3" in refusal(load, frame.assign(Class=[0, 0, 2, 0]))


def test_a_negative_amount_is_refused_with_its_row(load, frame, refusal):
    assert "-3.0 in row 2" in refusal(load, frame.assign(Amount=[0.0, -3.0, 1.0, 2.0]))


def test_a_missing_number_is_refused_with_its_row(load, frame, refusal):
    frame.loc[3, "V28"] = np.nan
    assert "Column 'V28'" in (sentence := refusal(load, frame))
    assert "row 4" in sentence


def test_a_download_with_other_counts_is_refused(tmp_path, host, frame, refusal):
    url, pages = host
    pages["/table"] = (frame.to_csv(index=False).encode(), 0)
    assert "other contents than the official" in refusal(download, tmp_path, [f"{url}/table"])


def test_a_refused_download_leaves_no_file(tmp_path, host, refusal):
    url, pages = host
    pages["/table"] = (b"<html>moved</html>", 0)
    refusal(download, tmp_path, [f"{url}/table"])
    assert not (tmp_path / FILE).exists()


def test_a_download_with_the_official_counts_is_kept(tmp_path, host):
    url, pages = host
    header = ",".join([*(f"V{i}" for i in range(1, 29)), "Amount", "Class"])
    row = "0," * 29
    pages["/table"] = (
        f"{header}\n".encode() + f"{row}0\n".encode() * 284_315 + f"{row}1\n".encode() * 492,
        0,
    )
    assert download(tmp_path, [f"{url}/table"]).is_file()


@pytest.mark.real_data
@pytest.mark.skipif(REAL is None, reason="HOURGLASS_DATA is not set: no real data to test with")
def test_the_real_table_is_sorted_by_time():
    raw = CreditCard().load(Path(str(REAL)))
    assert raw.time is not None
    assert (np.diff(raw.time) >= 0).all()
