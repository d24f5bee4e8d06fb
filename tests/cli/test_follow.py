"""`score --follow` and streams in Python: scores of rows as they arrive equal those of the file."""

import io
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass.api.loaded_detector import LoadedDetector
from hourglass.cli import follow as follow_module
from hourglass.cli.follow import STDIN, follow
from hourglass.cli.score import score
from hourglass.core.errors import UserError
from hourglass.data.columns.column import Column
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.attribution import Profile
from hourglass.detection.scorers import ModelScore
from hourglass.detection.scoring import FittedScorer
from hourglass.detection.threshold import Threshold
from hourglass.networks import Dense

ROWS, WINDOW = 60, 8


def readings(rows=ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(rows, 2)).round(6)
    times = pd.date_range("2026-03-01", periods=rows, freq="10min")
    return pd.DataFrame({"when": times, "flow": values[:, 0], "heat": values[:, 1], "note": "x"})


@pytest.fixture(scope="module")
def detector() -> LoadedDetector:
    """Give a detector of a series, with an untrained network."""
    columns = [Column("when", "time"), Column("flow"), Column("heat")]
    seconds = (readings().when - pd.Timestamp(0)).dt.total_seconds()
    x = np.column_stack([seconds, readings()[["flow", "heat"]]]).astype(float)
    encoding = replace(SeriesEncoding.fit(columns, x), window=WINDOW, step=600.0)
    torch.manual_seed(0)
    network = Dense(encoding.input_shape, 4, [16])
    assert encoding.heads is not None
    network.add_heads(encoding.heads)
    scoring = FittedScorer.fit(network.eval(), encoding, ModelScore(), x)
    inputs = {
        "data": "pump",
        "sample_shape": (3,),
        "dtype": "float64",
        "feature_names": ["flow", "heat"],
        "columns": [column.to_dict() for column in columns],
        "scaling": encoding.to_dict(),
    }
    scores = scoring(x)
    threshold = Threshold(float(np.quantile(scores, 0.9)), "quantile", {}, len(x))
    profile = Profile(np.zeros(2, np.float32), np.ones(2, np.float32))
    return LoadedDetector(json.loads(json.dumps(inputs)), scoring, profile, scores, threshold, {})


def expected(detector) -> pd.DataFrame:
    return detector.score(readings())


def at_first_waits(monkeypatch, action: Callable[[], object]) -> None:
    """Let `follow` call `action` at its first two waits for rows; interrupt the third."""
    waits = iter(range(2))

    def sleep(seconds: float) -> None:
        if next(waits, None) is None:
            raise KeyboardInterrupt
        action()

    monkeypatch.setattr(follow_module.time, "sleep", sleep)


def test_rows_of_standard_input_are_scored(detector, monkeypatch):
    output = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(readings().to_csv(index=False)))
    assert follow(STDIN, detector, None, output) == ROWS
    table = pd.read_csv(io.StringIO(output.getvalue()), parse_dates=["time"])
    assert table.row.tolist() == list(range(1, ROWS + 1))
    assert (table.time == readings().when).all()
    np.testing.assert_allclose(table.score, expected(detector).score, rtol=1e-4)
    assert (table.alarm == expected(detector).alarm).all()


def test_a_growing_file_is_followed_until_an_interrupt(detector, tmp_path, monkeypatch):
    path, output = tmp_path / "pump.csv", io.StringIO()
    text = readings().to_csv(index=False)
    middle = len(text) // 2  # within a line
    path.write_text(text[:middle])
    at_first_waits(monkeypatch, lambda: path.write_text(text))
    assert follow(path, detector, 0, output) == ROWS
    table = pd.read_csv(io.StringIO(output.getvalue()))
    assert table.row.tolist() == list(range(1, ROWS + 1))


def test_a_stream_takes_dictionaries(detector):
    stream = detector.stream()
    parts = [stream.add(row) for row in readings().to_dict("records")] + [stream.flush()]
    assert all(part.empty for part in parts[: WINDOW - 1])
    table = pd.concat(parts).set_index("row")
    np.testing.assert_allclose(table.score, expected(detector).score, rtol=1e-4)
    assert (table.alarm == expected(detector).alarm.to_numpy()).all()


def test_without_latency_each_row_is_scored_at_once(detector):
    stream = detector.stream(latency=0)
    rows = [stream.add(row).row.tolist() for row in readings().to_dict("records")]
    assert rows[WINDOW - 1] == list(range(WINDOW))
    assert rows[WINDOW:] == [[i] for i in range(WINDOW, ROWS)]


@pytest.mark.parametrize(("text", "words"), [("", "is empty"), ("a,b\n1,2\n", "has no column")])
def test_input_that_is_no_series_gets_a_sentence(detector, monkeypatch, text, words):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(UserError, match=words):
        follow(STDIN, detector, None, io.StringIO())


def test_a_header_that_is_written_again_and_blank_lines_are_no_rows(detector, monkeypatch):
    text = readings().to_csv(index=False)
    header, rows = text.split("\n", 1)
    again = f"{header}\r\n{rows}\n\n{header}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(again))
    assert follow(STDIN, detector, None, io.StringIO()) == ROWS


@pytest.mark.parametrize(
    ("cell", "words"),
    [("soon", r"-, counted from line 62,"), ("\udce9", "no text in UTF-8")],
)
def test_a_bad_line_of_standard_input_is_named(detector, monkeypatch, cell, words):
    text = readings().to_csv(index=False) + f"{cell},1,2,x\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(UserError, match=words):
        follow(STDIN, detector, None, io.StringIO())


def test_a_line_that_ends_within_a_character_waits_for_the_rest(detector, tmp_path, monkeypatch):
    path, text = tmp_path / "pump.csv", readings(9).replace("x", "é").to_csv(index=False)
    content = text.encode()
    path.write_bytes(content[:-2])
    at_first_waits(monkeypatch, lambda: path.write_bytes(content))
    assert follow(path, detector, 0, io.StringIO()) == 9


def test_a_file_that_replaces_the_followed_one_is_read(detector, tmp_path, monkeypatch):
    path, text = tmp_path / "pump.csv", readings(9).to_csv(index=False)
    path.write_text(text)

    def replace() -> None:
        path.rename(tmp_path / "pump.csv.1")
        path.write_text(text)

    at_first_waits(monkeypatch, replace)
    assert follow(path, detector, 0, io.StringIO()) == 2 * 9 + 9


def test_an_option_that_single_rows_cannot_have_is_refused(tmp_path):
    with pytest.raises(UserError, match="--follow scores rows one by one and has no top"):
        score("pump", "linear", tmp_path / "pump.csv", top=3, follow=True)


def test_the_followed_file_is_not_overwritten(tmp_path):
    path = tmp_path / "pump.csv"
    path.write_text("when,flow\n")
    with pytest.raises(UserError, match="would overwrite"):
        score("pump", "linear", path, out=path, follow=True)
    assert path.read_text() == "when,flow\n"


def test_scores_of_rows_in_no_order_come_with_a_warning(detector):
    with pytest.warns(UserWarning, match="give rows in order of time"):
        detector.score(readings().sample(frac=1, random_state=0))
