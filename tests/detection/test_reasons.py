"""Reasons for scores in words."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.datasets import load_breast_cancer

import hourglass
from hourglass.data.columns.cell_values import cell_frame, date_texts, number_texts
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.data.frames import frame_batches
from hourglass.data.readers.chunks import Chunk
from hourglass.detection.chunk_scores import score_with_reasons
from hourglass.detection.reasons import _expected_part, top_reasons
from hourglass.detection.scorers.forward_cache import EXTREME_INPUT
from tests.mixed_tables import detector_of_codes, mixed_columns, mixed_detector, mixed_frame

COLUMNS = mixed_columns()


def reasons(frame: pd.DataFrame, top: int = 5) -> list[str]:
    """Return all reasons of each row in one text."""
    (batch,) = [batch for _, batch in frame_batches(frame)]
    found = top_reasons(mixed_detector(), codes(batch, COLUMNS), top, pa.table(batch))
    texts = [found[f"reason_{rank + 1}"] for rank in range(top)]
    return ["; ".join(filter(None, row)) for row in zip(*texts, strict=True)]


def changed(column: str, value: object) -> str:
    """Return the reasons of a usual row with another value in a column."""
    frame = mixed_frame(20, 3).astype({column: object})
    frame.loc[7, column] = value  # type: ignore[call-overload]
    return reasons(frame)[7]


def test_a_number_has_the_range_of_its_reconstruction_and_usual_error():
    frame, detector = mixed_frame(20, 3), mixed_detector()
    frame.loc[7, "amount"] = 4310.0
    match = re.search(r"amount 4,310, expected (\S+) to (\S+?)(;|$)", reasons(frame)[7])
    assert match
    inputs = torch.from_numpy(detector.encoding(codes(frame, COLUMNS)))
    inputs[inputs.abs() > EXTREME_INPUT] = 0
    with torch.inference_mode():
        output = detector.scoring.network(inputs).numpy()
    error = np.sqrt(detector.profile.mean[0])
    for sign, text in ((-1, match[1]), (1, match[2])):
        shifted = output.astype(np.float64)
        shifted[:, 0] += sign * error
        expected = detector.encoding.inverse(shifted)[7, 0]
        assert float(text.replace(",", "")) == pytest.approx(expected, rel=0.01, abs=0.5)


def test_one_extreme_number_is_the_first_reason_of_every_row():
    table = load_breast_cancer()
    x = table.data[table.target == 1]
    train, test = x[:250], x[250:].copy()
    planted = np.arange(len(test)) % x.shape[1]
    test[np.arange(len(test)), planted] = (train.mean(0) + 20 * train.std(0))[planted]
    fitted = hourglass.Autoencoder(random_state=0, max_epochs=30).fit(train)
    np.testing.assert_array_equal(np.argmax(fitted.explain(test), 1), planted)


@pytest.mark.parametrize(
    ("column", "value", "pattern"),
    [
        ("service", "tftp", r'service = "tftp", expected "\w+" \(0\.\d\d\)'),
        ("member", None, "member missing"),
        (
            "when",
            "2026-05-04 03:10",
            r"when 2026-05-04 03:10, expected (around \d\d:\d\d|a \w+day)",
        ),
    ],
)
def test_other_kinds_name_the_value_and_the_expected_one(column, value, pattern):
    assert re.search(pattern, changed(column, value))


def test_a_value_is_a_reason_only_if_its_loss_is_above_the_usual_one():
    x = codes(mixed_frame(200, 3), COLUMNS)
    found = top_reasons(mixed_detector(), x, 3)
    for rank in range(1, 4):
        named = [text is not None for text in found[f"reason_{rank}"]]
        assert any(named)
        assert (found[f"contribution_{rank}"][named] > 0).all()


def test_the_most_probable_value_is_no_reason():
    texts = "; ".join(reasons(mixed_frame(300, 3)))
    assert not re.findall(r"probability (?:0\.[5-9]|1)", texts)


def test_no_date_is_expected_that_equals_its_own():
    for cell in ("2025-06-10 10:00", "2025-03-08 03:00"):
        text = changed("when", pd.Timestamp(cell))
        assert f"expected a {pd.Timestamp(cell).day_name()}" not in text


@pytest.mark.parametrize("days", [0, 1, 0.4, -0.4, 31, -62])
@pytest.mark.parametrize(("part", "cycle"), [("weekday", 7), ("month", 365.2425)])
def test_days_and_months_count_from_those_of_the_date(part, cycle, days):
    dates = pd.date_range("2024-01-01", periods=366)
    seconds = (dates - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    inputs, output = (
        np.stack([np.sin(angle), np.cos(angle)], 1).astype(np.float32)
        for angle in (2 * np.pi * (seconds / 86_400 + moved) / cycle for moved in (0, days))
    )
    texts = _expected_part(None, part, seconds.to_numpy(), inputs, output)
    if part == "weekday":
        steps = round(days) % 7
        names = [f"a {date.day_name()}" for date in dates + pd.Timedelta(days=steps)]
    else:
        steps = round(days / 30.4)
        names = [month.strftime("%B") for month in dates.to_period("M") + steps]
    assert texts == (names if steps else [""] * len(dates))


def test_probabilities_are_those_of_the_network():
    frame, detector = mixed_frame(300, 3), mixed_detector()
    inputs = torch.from_numpy(detector.encoding(codes(frame, COLUMNS)))
    inputs[inputs.abs() > EXTREME_INPUT] = 0
    with torch.inference_mode():
        output = detector.scoring.network(inputs).numpy()
    services = output[:, 1:6]
    shown = r'service = "\w+", (?:expected "\w+" \(|probability )([\d.]+)'
    found = [re.search(shown, text) for text in reasons(frame)]
    assert any(found)
    for i, match in enumerate(found):
        assert match is None or float(match[1]) == pytest.approx(services[i].max(), abs=0.006)


def test_a_missing_cell_that_is_usual_is_no_reason():
    assert "TSH missing" not in changed("TSH", None)  # a fifth of the cells is missing


def test_rows_that_are_not_above_a_score_have_no_reasons():
    x = codes(mixed_frame(100, 3), COLUMNS)
    detector = mixed_detector()
    chunk = Chunk(pa.array(range(100)), x, np.ones(100, bool))
    scores, found = score_with_reasons(detector, chunk, above=detector.threshold.value)
    assert found
    explained = np.array(found.joined()) != ""
    np.testing.assert_array_equal(explained, scores > detector.threshold.value)


def test_a_table_of_numbers_needs_no_heads():
    x = np.random.default_rng(0).normal(size=(200, 3))
    x[0, 1] = 9
    detector = detector_of_codes([Column(name) for name in "abc"], x[1:100], x[100:])
    found = top_reasons(detector, x[:1], 3)
    assert any(str(found[f"reason_{i}"][0]).startswith("b 9, expected ") for i in (1, 2, 3))


@pytest.mark.parametrize(
    ("value", "text"),
    [(4310, "4,310"), (0.1 + 0.2, "0.3"), (-1234.5678, "-1,234.568"), (1e300, "1e+300"),
     (12345678, "12,345,678"), (0.00012345678, "0.0001234568"), (1e-20, "1e-20"), (0, "0")],
)  # fmt: skip
def test_numbers_are_short_and_exact(value, text):
    assert number_texts(np.array([value], float)).to_pylist() == [text]


def test_dates_have_a_time_unless_it_is_midnight():
    dates = ["2026-11-29 03:10", "2026-11-29"]
    seconds = np.array([pd.Timestamp(date).timestamp() for date in dates])
    assert date_texts(seconds).to_pylist() == dates


def test_codes_become_the_cells_of_the_table():
    frame = mixed_frame(50, 3)
    pd.testing.assert_frame_equal(
        cell_frame(codes(frame, COLUMNS), COLUMNS), frame, check_dtype=False
    )
