"""The verb `drift`: what it says of a file, what it writes, and what it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import ks_2samp

from hourglass.cli.drift import FOUND, drift
from hourglass.data.prepared import Prepared
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
def here(cells, tmp_path, monkeypatch) -> Iterator[Path]:
    """Work among the cells, drawing nothing; give a folder for files."""
    monkeypatch.setattr(
        "hourglass.evaluation.figures.save", lambda figure, path: path.write_text("undrawn")
    )
    with working_in(cells):
        yield tmp_path


@pytest.fixture
def normal(here) -> pd.DataFrame:
    """Give the normal rows of the table that calibrated nothing, some often."""
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


def test_numbers_are_those_of_scipy_and_of_the_detector(here, normal, capsys):
    from hourglass.detection.detector import Detector

    found = report(drift(*TABLE, written(normal, here / "new.csv"), here / "out.json"))
    detector = Detector.load(Path("runs/breast_cancer/linear"))
    scores = detector.scoring(normal.to_numpy(np.float32))
    expected = ks_2samp(detector.calibration, scores)
    test = found["kolmogorov_smirnov"]
    assert test["statistic"] == pytest.approx(expected.statistic)
    assert test["p_value"] == pytest.approx(expected.pvalue)
    realised = found["threshold"]["realised"]
    assert realised["alarms"] == detector.threshold(scores).sum()
    assert found["samples"] == len(normal)
    assert found["threshold"]["promised"] == detector.threshold.false_alarm_rate
    printed = capsys.readouterr().out
    assert all(sentence in printed for sentence in found["verdict"])


def test_drift_is_found_where_it_begins_and_the_features_are_named(here, normal):
    normal.loc[200:, "mean radius"] += 30
    found = report(drift(*TABLE, written(normal, here / "new.csv"), here / "out.json"))
    assert 200 < found["martingale"]["alarm_at"] < 240
    assert found["threshold"]["verdict"] == "more"
    assert found["found"]
    assert next(iter(found["mean_contributions"])) == "mean radius"
    assert found["verdict"][0].startswith("Alarm: the martingale reaches 100 at sample 2")


def test_places_are_those_of_the_file_where_rows_are_skipped(here, normal, refusal):
    normal.loc[200:, "mean radius"] += 30
    whole = drift(*TABLE, written(normal.drop(range(50)), here / "new.csv"), here / "whole.json")
    normal.loc[:49, "mean area"] = np.nan
    file = written(normal, here / "gaps.csv")
    assert "mean area" in refusal(drift, *TABLE, file, here / "out.json")
    found = report(drift(*TABLE, file, here / "out.json", missing="skip"))
    assert found["skipped"] == 50
    assert found["martingale"]["alarm_at"] == report(whole)["martingale"]["alarm_at"] + 50


def test_it_exits_with_a_status_of_its_own_only_where_it_is_asked_to(here, normal):
    calm = written(normal, here / "calm.csv")
    wild = written(normal * 3, here / "wild.csv")
    assert drift(*TABLE, wild, here / "out.json").exists()
    (here / "out.json").unlink()
    with pytest.raises(SystemExit) as caught:
        drift(*TABLE, wild, here / "out.json", fail=True)
    assert caught.value.code == FOUND
    assert report(here / "out.json")["found"]  # written all the same
    if not report(drift(*TABLE, calm, here / "calm.json"))["found"]:
        drift(*TABLE, calm, here / "calm.json", fail=True)


def test_images_drift_too_and_portions_do_not_matter(here, monkeypatch):
    test = Prepared.open(Path("data/prepared/digits")).split("test")
    images = np.array(test.x[~test.anomaly])
    images = np.concatenate([images, 16 - images])  # dark on bright
    np.savez(here / "new.npz", x=images)
    first = drift(*PICTURES, here / "new.npz", here / "a.json").read_bytes()
    monkeypatch.setattr("hourglass.data.readers.image_chunks.BYTES", 64 * 9)
    assert drift(*PICTURES, here / "new.npz", here / "a.json").read_bytes() == first
    found = report(here / "a.json")
    assert found["martingale"]["alarm_at"] > len(images) / 2
    assert found["mean_contributions"] == {}


def test_the_same_file_gives_the_same_bytes(here, normal):
    file = written(normal, here / "new.csv")
    texts = [drift(*TABLE, file, here / name).read_bytes() for name in ("a.json", "b.json")]
    assert texts[0] == texts[1]


def test_the_picture_is_the_same_each_time(cells, tmp_path):
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
def test_what_cannot_be_is_refused(here, normal, refusal, options, word):
    given = {"file": written(normal, here / "new.csv"), "out": here / "out.json"} | options
    assert word in refusal(drift, *TABLE, **given)
    assert not (here / "out.json").exists()


def test_a_table_without_rows_is_refused(here, normal, refusal):
    assert "no samples" in refusal(drift, *TABLE, written(normal[:0], here / "new.csv"))


def test_a_picture_is_not_replaced_by_its_own_report(here, refusal):
    Image.new("L", (8, 8)).save(here / "new.png")
    assert "new.png" in refusal(drift, *PICTURES, here / "new.png", here / "new.json")


@pytest.mark.slow
def test_neither_lightning_nor_mlflow_is_needed(cells, here, normal):
    file = written(normal, here / "new.csv")
    assert "Kolmogorov-Smirnov" in lean(cells, "drift", *TABLE, str(file))
