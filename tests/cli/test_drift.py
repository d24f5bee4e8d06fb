"""Command `drift`: its report on a file, its figure and its errors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import ks_2samp

from hourglass.cli.drift import DRIFT_EXIT_STATUS, drift
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from tests.cli import IMAGES, TABLE
from tests.cli.files import write_npz, write_table


@pytest.fixture
def normal(here) -> pd.DataFrame:
    """Give 400 normal test rows of the table, drawn with replacement."""
    prepared = Prepared.open(Path("data/prepared/breast_cancer"))
    test = prepared.split("test")
    x = test.x[~test.anomaly]
    chosen = np.random.default_rng(0).integers(0, len(x), 400)
    return pd.DataFrame(x[chosen], columns=prepared.card["feature_names"]).astype(np.float64)


@pytest.fixture
def report(here) -> Callable[..., dict[str, Any]]:
    """Give a function that tests a table for drift and reads the report."""

    def run(frame: pd.DataFrame, **options: Any) -> dict[str, Any]:
        path = drift(*TABLE, write_table(frame, here / "new.csv"), here / "out.json", **options)
        return json.loads(path.read_text(encoding="utf-8"))

    return run


def test_numbers_agree_with_scipy_and_the_detector(report, normal, capsys):
    from hourglass.detection.detector import Detector

    result = report(normal)
    detector = Detector.of_cell(Cell(*TABLE))
    scores = detector.scoring(normal.to_numpy(np.float32))
    expected = ks_2samp(detector.calibration_scores, scores)
    test = result["kolmogorov_smirnov"]
    assert test["statistic"] == pytest.approx(expected.statistic)
    assert test["p_value"] == pytest.approx(expected.pvalue)
    assert result["threshold"]["realised"]["alarms"] == detector.threshold(scores).sum()
    assert result["samples"] == len(normal)
    assert result["threshold"]["promised"] == detector.threshold.false_alarm_rate
    printed = capsys.readouterr().out
    assert all(sentence in printed for sentence in result["verdict"])


def test_drift_is_found_at_its_start_and_the_features_are_named(report, normal):
    normal.loc[200:, "mean radius"] += 30
    result = report(normal)
    assert 200 < result["martingale"]["alarm_at"] < 240
    assert result["threshold"]["verdict"] == "more"
    assert result["found"]
    assert next(iter(result["mean_contributions"])) == "mean radius"
    assert result["verdict"][0].startswith("Alarm: the martingale reaches 100 at sample 2")
    changed = result["columns"][0]
    assert (changed["name"], changed["changed"]) == ("mean radius", True)
    assert "mean radius" in result["verdict"][-1]


def test_positions_count_skipped_rows(here, report, normal, refusal):
    normal.loc[200:, "mean radius"] += 30
    complete = report(normal.drop(range(50)))
    normal.loc[:49, "mean area"] = np.nan
    file = write_table(normal, here / "gaps.csv")
    assert "mean area" in refusal(drift, *TABLE, file, here / "out.json", missing="refuse")
    result = report(normal, missing="skip")
    assert result["skipped"] == 50
    assert result["martingale"]["alarm_at"] == complete["martingale"]["alarm_at"] + 50


def test_drift_changes_the_exit_status_only_on_request(here, report, normal):
    assert report(normal * 3)["found"]
    (here / "out.json").unlink()
    with pytest.raises(SystemExit) as caught:
        report(normal * 3, fail=True)
    assert caught.value.code == DRIFT_EXIT_STATUS
    assert json.loads((here / "out.json").read_text())["found"]  # written anyway
    assert not report(normal, fail=True)["found"]


def test_images_give_the_same_report_in_chunks_of_any_size(here, monkeypatch):
    test = Prepared.open(Path("data/prepared/digits")).split("test")
    images = np.array(test.x[~test.anomaly])
    file = write_npz(np.concatenate([images, 16 - images]), here)  # dark on bright
    first = drift(*IMAGES, file, here / "a.json").read_bytes()
    monkeypatch.setattr("hourglass.data.readers.numpy_files.CHUNK_BYTES", 64 * 9)
    assert drift(*IMAGES, file, here / "a.json").read_bytes() == first
    result = json.loads(first)
    assert result["martingale"]["alarm_at"] > len(images) / 2
    assert result["mean_contributions"] == {}


def test_the_same_file_gives_the_same_report_and_figure(drawing_here, images):
    file = write_npz(images, drawing_here)
    first, again = (drift(*IMAGES, file, drawing_here / name) for name in ("a.json", "b.json"))
    for suffix in (".json", ".png"):
        assert first.with_suffix(suffix).read_bytes() == again.with_suffix(suffix).read_bytes()
    assert Image.open(first.with_suffix(".png")).size == (1210, 440)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"out": Path("x.csv")}, ".json"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"file": "none.csv"}, "none.csv"),
        ({"file": "empty.csv"}, "no rows"),
    ],
)
def test_impossible_arguments_are_refused(here, normal, refusal, options, word):
    write_table(normal, here / "new.csv")
    write_table(normal[:0], here / "empty.csv")
    arguments = {"file": "new.csv", "out": here / "out.json"} | options
    file = here / str(arguments.pop("file"))
    assert word in refusal(drift, *TABLE, file, **arguments)
    assert not (here / "out.json").exists()


def test_an_image_is_not_replaced_by_the_figure_of_its_report(here, refusal):
    Image.new("L", (8, 8)).save(here / "new.png")
    assert "new.png" in refusal(drift, *IMAGES, here / "new.png", here / "new.json")


def test_a_file_that_the_detector_was_trained_on_is_named(here, normal, capsys):
    path = write_table(normal, here / "new.csv")
    drift(*TABLE, path, here / "out.json")
    assert "trained on rows of" not in capsys.readouterr().out
    card = Prepared.open(Path("data/prepared/breast_cancer")).card
    with pytest.MonkeyPatch.context() as patch:
        known = next(iter(card["source"]["files"].values()))
        patch.setattr("hourglass.cli.drift.sha256", lambda path: known)
        drift(*TABLE, path, here / "out.json")
    assert f"trained on rows of {path}" in capsys.readouterr().out
