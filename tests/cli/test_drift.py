"""Command `drift`: its report on a file, its figure and its errors."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import ks_2samp

from hourglass.cli.drift import DRIFT_EXIT_STATUS, drift
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from tests.workspaces import FakeRecorder, calibrated, lean, set_up, working_in

TABLE, PICTURES = ("breast_cancer", "linear"), ("digits", "linear")


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    """Give a working folder with a calibrated cell of a table and one of images."""
    folder = set_up(tmp_path_factory.mktemp("drift") / "workspace")
    with working_in(folder, FakeRecorder()):
        calibrated(TABLE, PICTURES)
    return folder


@pytest.fixture
def normal(here) -> pd.DataFrame:
    """Give 400 normal test rows of the table, drawn with replacement."""
    prepared = Prepared.open(Path("data/prepared/breast_cancer"))
    test = prepared.split("test")
    x = test.x[~test.anomaly]
    chosen = np.random.default_rng(0).integers(0, len(x), 400)
    return pd.DataFrame(x[chosen], columns=prepared.card["feature_names"]).astype(np.float64)


def written(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path


def report(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_numbers_agree_with_scipy_and_the_detector(here, normal, capsys):
    from hourglass.detection.detector import Detector

    result = report(drift(*TABLE, written(normal, here / "new.csv"), here / "out.json"))
    detector = Detector.of_cell(Cell(*TABLE))
    scores = detector.scoring(normal.to_numpy(np.float32))
    expected = ks_2samp(detector.calibration_scores, scores)
    test = result["kolmogorov_smirnov"]
    assert test["statistic"] == pytest.approx(expected.statistic)
    assert test["p_value"] == pytest.approx(expected.pvalue)
    realised = result["threshold"]["realised"]
    assert realised["alarms"] == detector.threshold(scores).sum()
    assert result["samples"] == len(normal)
    assert result["threshold"]["promised"] == detector.threshold.false_alarm_rate
    printed = capsys.readouterr().out
    assert all(sentence in printed for sentence in result["verdict"])


def test_drift_is_found_at_its_start_and_the_features_are_named(here, normal):
    normal.loc[200:, "mean radius"] += 30
    result = report(drift(*TABLE, written(normal, here / "new.csv"), here / "out.json"))
    assert 200 < result["martingale"]["alarm_at"] < 240
    assert result["threshold"]["verdict"] == "more"
    assert result["found"]
    assert next(iter(result["mean_contributions"])) == "mean radius"
    assert result["verdict"][0].startswith("Alarm: the martingale reaches 100 at sample 2")


def test_positions_count_skipped_rows(here, normal, refusal):
    normal.loc[200:, "mean radius"] += 30
    whole = drift(*TABLE, written(normal.drop(range(50)), here / "new.csv"), here / "whole.json")
    normal.loc[:49, "mean area"] = np.nan
    file = written(normal, here / "gaps.csv")
    assert "mean area" in refusal(drift, *TABLE, file, here / "out.json")
    result = report(drift(*TABLE, file, here / "out.json", missing="skip"))
    assert result["skipped"] == 50
    assert result["martingale"]["alarm_at"] == report(whole)["martingale"]["alarm_at"] + 50


def test_drift_changes_the_exit_status_only_on_request(here, normal):
    calm = written(normal, here / "calm.csv")
    wild = written(normal * 3, here / "wild.csv")
    assert drift(*TABLE, wild, here / "out.json").exists()
    (here / "out.json").unlink()
    with pytest.raises(SystemExit) as caught:
        drift(*TABLE, wild, here / "out.json", fail=True)
    assert caught.value.code == DRIFT_EXIT_STATUS
    assert report(here / "out.json")["found"]  # written anyway
    if not report(drift(*TABLE, calm, here / "calm.json"))["found"]:
        drift(*TABLE, calm, here / "calm.json", fail=True)


def test_images_give_the_same_report_in_chunks_of_any_size(here, monkeypatch):
    test = Prepared.open(Path("data/prepared/digits")).split("test")
    images = np.array(test.x[~test.anomaly])
    images = np.concatenate([images, 16 - images])  # dark on bright
    np.savez(here / "new.npz", x=images)
    first = drift(*PICTURES, here / "new.npz", here / "a.json").read_bytes()
    monkeypatch.setattr("hourglass.data.readers.image_chunks.CHUNK_BYTES", 64 * 9)
    assert drift(*PICTURES, here / "new.npz", here / "a.json").read_bytes() == first
    result = report(here / "a.json")
    assert result["martingale"]["alarm_at"] > len(images) / 2
    assert result["mean_contributions"] == {}


def test_the_same_file_gives_the_same_bytes(here, normal):
    file = written(normal, here / "new.csv")
    texts = [drift(*TABLE, file, here / name).read_bytes() for name in ("a.json", "b.json")]
    assert texts[0] == texts[1]


def test_the_figure_is_reproducible(cells, tmp_path):
    test = Prepared.open(cells / "data/prepared/digits").split("test")
    np.savez(tmp_path / "new.npz", x=np.array(test.x[:60]))
    with working_in(cells):
        for name in ("a.json", "b.json"):
            drift(*PICTURES, tmp_path / "new.npz", tmp_path / name)
    assert Image.open(tmp_path / "a.png").size == (1210, 440)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"out": Path("x.csv")}, ".json"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"file": Path("none.csv")}, "none.csv"),
    ],
)
def test_impossible_arguments_are_refused(here, normal, refusal, options, word):
    arguments = {"file": written(normal, here / "new.csv"), "out": here / "out.json"} | options
    assert word in refusal(drift, *TABLE, **arguments)
    assert not (here / "out.json").exists()


def test_a_table_without_rows_is_refused(here, normal, refusal):
    assert "no samples" in refusal(drift, *TABLE, written(normal[:0], here / "new.csv"))


def test_an_image_is_not_replaced_by_the_figure_of_its_report(here, refusal):
    Image.new("L", (8, 8)).save(here / "new.png")
    assert "new.png" in refusal(drift, *PICTURES, here / "new.png", here / "new.json")


@pytest.mark.slow
def test_the_command_needs_neither_lightning_nor_mlflow(cells, here, normal):
    file = written(normal, here / "new.csv")
    assert "Kolmogorov-Smirnov" in lean(cells, "drift", *TABLE, str(file))
