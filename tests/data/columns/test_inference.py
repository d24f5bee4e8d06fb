"""Kinds of columns: features, columns left out with a reason, and columns that need a setting."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from hourglass.core.errors import UserError
from hourglass.data.columns.codes import codes
from hourglass.data.columns.decision import Decision, Declared
from hourglass.data.columns.inference import infer_columns, used_columns
from hourglass.data.frames import frame_batches

RNG = np.random.default_rng(0)
ROWS = 300


def decide(cells, name="x", batch=1 << 16, **declared) -> Decision:
    """Return the decision about a column of cells."""
    array = cells if isinstance(cells, pa.Array) else pa.array(cells)
    batches = [
        pa.RecordBatch.from_arrays([array[i : i + batch]], [name])
        for i in range(0, len(array), batch)
    ]
    return infer_columns(batches, [name], "mine.csv", Declared(**declared))[0]


def text(values) -> list[str]:
    return [str(value) for value in values]


def choice(*values, rows=ROWS) -> list:
    return [values[i] for i in RNG.integers(0, len(values), rows)]


FLOATS = RNG.normal(size=ROWS).round(3)
YEAR = pd.date_range("2024-01-01", periods=366, freq="D").strftime("%Y-%m-%d").tolist()


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (text(FLOATS), "numeric"),
        (FLOATS, "numeric"),
        (choice("0", "1"), "numeric"),
        (choice(1, 2, 3), "numeric"),
        ([Decimal("1.5"), Decimal("2.25"), None], "numeric"),
        (pa.array([1, 2, 500], pa.duration("ms")), "numeric"),
        (choice("true", "false"), "boolean"),
        (choice("True", "False", ""), "boolean"),
        (choice("yes", "NO", "Yes"), "boolean"),
        (choice("j", "n"), "boolean"),
        (choice("ja", "nein", "NA"), "boolean"),
        (choice("f", "t"), "boolean"),
        (choice(True, False, None), "boolean"),
        (["1", "0"] * 50 + ["True", "False"] * 50, "boolean"),
        (choice("north", "south"), "categorical"),
        (pa.array(choice("a", "b")).dictionary_encode(), "categorical"),
        (pa.array(choice("a", "b"), pa.large_string()), "categorical"),
        (choice("1", "2", "unknown"), "categorical"),
        (choice("no", "yes", "maybe"), "categorical"),
        (["2024-01-01T00:00:00Z", "2024-01-02 12:30", "2024-02-02T01:00:00+02:00"], "datetime"),
        (["31.12.2026 23:59", "01.01.2027", "1.2.2027 00:10:20"], "datetime"),
        (["12/31/2026", "01/02/2026"], "datetime"),
        (["31/12/2026 01:00 PM", "01/02/2026 02:00 AM"], "datetime"),
        (["23:59:59", "00:10:00"], "datetime"),
        ([datetime.time(1, 2), datetime.time(3)], "datetime"),
        ([datetime.date(2024, 1, 1), datetime.date(2025, 1, 1)], "datetime"),
        (pa.array([0, 10**18], pa.timestamp("ns", "Europe/Berlin")), "datetime"),
    ],
)
@pytest.mark.parametrize("batch", [1 << 16, 40])
def test_kinds_are_inferred_from_text_and_from_types_alike(cells, kind, batch):
    decision = decide(cells, batch=batch)
    assert (decision.kind, decision.error) == (kind, "")
    assert decision.column.kind == kind


@pytest.mark.parametrize("marker", ["", "NA", "?", "-", "null", "NaN", None])
@pytest.mark.parametrize(
    ("values", "kind"),
    [(text(FLOATS), "numeric"), (choice("a", "b"), "categorical"), (choice("t", "f"), "boolean")],
)
def test_a_marker_is_a_missing_cell_where_it_is_the_exception(values, kind, marker):
    cells = [marker if i % 10 == 0 else value for i, value in enumerate(values)]
    decision = decide(cells)
    assert decision.kind == kind
    assert decision.missing == ROWS // 10
    assert marker not in decision.column.levels


def test_a_marker_in_most_cells_of_a_text_column_is_a_level():
    decision = decide(["NA"] * 200 + ["gravel"] * 60 + ["paved"] * 40)
    assert decision.column.levels == ("NA", "gravel", "paved")
    assert decision.missing == 0


def test_numbers_that_are_mostly_missing_stay_numbers():
    decision = decide(["-"] * 200 + text(FLOATS[:100]))
    assert (decision.kind, decision.missing) == ("numeric", 200)


@pytest.mark.parametrize(
    ("cells", "name", "reason"),
    [
        (["bar"] * 50, "unit", "same value in every row, such as 'bar'"),
        ([5.0] * 50, "x", "same value in every row"),
        (["", None, "NA"] * 10, "x", "no values"),
        (pa.nulls(10), "x", "no values"),
        ([f"SN{i}" for i in range(50)], "serial", "a text per row; set `id`"),
        ([f"the pump made noise number {i % 149}" for i in range(150)], "note", "free text"),
        (["line one\nline two", ""] * 50, "note", "free text"),
        (text(range(50)), "", "row numbers without a name"),
        (range(50), "Unnamed: 0", "row numbers without a name"),
        (range(0, 150, 3), "count", "rises from row to row"),
        (RNG.permutation(200), "n", "a number per row"),
        (RNG.permutation(10**6)[:200], "customer_id", "a number per row"),
        (RNG.permutation(200) * 10**16, "account", "a number per row"),
        ([[1, 2], [3, 4]], "embedding", "cells of type list<item: int64>"),
        ([b"a", b"b"], "raw", "cells of type binary"),
    ],
)
def test_columns_that_are_no_features_are_left_out_with_the_reason(cells, name, reason):
    decision = decide(cells, name)
    assert decision.column is None
    assert reason in decision.decision


def test_the_same_column_is_a_feature_if_its_kind_is_declared():
    assert decide(range(50), kinds={"x": "numeric"}).kind == "numeric"
    assert decide([f"SN{i}" for i in range(50)], kinds={"x": "categorical"}).kind == "categorical"
    assert decide(choice(3, 5), kinds={"x": "categorical"}).column.levels in (
        ("3", "5"),
        ("5", "3"),
    )
    assert decide(choice("open", "shut"), kinds={"x": "boolean"}).column.levels == ("open", "shut")
    assert decide(choice("0", "1"), kinds={"x": "boolean"}).column.levels == ("0", "1")


def test_a_column_with_one_value_and_missing_cells_says_something():
    assert decide(["checked", ""] * 50).kind == "categorical"


@pytest.mark.parametrize(
    ("cells", "declared", "message"),
    [
        (
            ["2026-01-01", "tomorrow"],
            {"dates": {"x": "%d/%m/%Y"}},
            "holds '2026-01-01', which is no",
        ),
        ([*text(FLOATS), "high"], {"kinds": {"x": "categorical"}}, ""),
        (choice("a", "b", "c"), {"kinds": {"x": "boolean"}}, "declared boolean, but holds 3"),
        (["a", *choice("a", "b")], {"kinds": {"x": "numeric"}}, "but holds 'a' in row 1 and"),
    ],
)
def test_a_declaration_that_does_not_fit_is_named_with_the_ways_out(cells, declared, message):
    decision = decide(cells, **declared)
    if not message:
        assert decision.error == ""
        return
    with pytest.raises(UserError) as error:
        used_columns([decision])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("cells", "declared", "missing", "note"),
    [
        (
            [*text(FLOATS), "high"],
            {},
            1,
            "no number, but missing: 1 cell such as 'high' in row 301",
        ),
        ([*text(FLOATS), "high", "low"], {}, 2, "2 cells such as 'high' in row 301"),
        ([*text(FLOATS), "high"], {"missing_values": {"x": ("high",)}}, 1, ""),
        ([*YEAR, "soon"], {}, 1, "no date, but missing: 1 cell such as 'soon' in row 367"),
    ],
)
def test_a_few_cells_without_a_number_or_a_date_are_missing(cells, declared, missing, note):
    decision = decide(cells, **declared)
    assert decision.missing == missing
    assert note in decision.decision
    batch = pa.record_batch({"x": pa.array(cells)})
    assert np.isnan(codes(batch, [decision.column])).sum() == missing


@pytest.mark.parametrize(
    ("cells", "read_as"),
    [
        (["01/02/2026", "03/04/2026"], "%m/%d/%Y"),  # as pandas does
        (["30/01/2026", "01/02/2026"], "%d/%m/%Y"),  # there is no month 30
        (["01/02/2026", "05/02/2026", "02/03/2026"], "%d/%m/%Y"),  # rises from row to row
    ],
)
def test_dates_with_two_readings_have_that_by_which_they_rise(cells, read_as):
    decision = decide(cells, kinds={"x": "datetime"})
    assert decision.column.date_format == read_as
    assert ("may be" in decision.decision) == (cells[0] != "30/01/2026")


def test_a_column_by_which_the_rows_are_sorted_is_a_feature():
    distinct = np.unique(FLOATS)
    assert decide(distinct).column is not None
    assert decide(distinct, "time").column is None


def dates(start, periods, freq, shuffle=False):
    values = pd.date_range(start, periods=periods, freq=freq).astype(str).to_numpy(object)
    return RNG.permutation(values) if shuffle else values


@pytest.mark.parametrize(
    ("cells", "parts"),
    [
        (dates("2024-01-01", 300, "7min"), ("hour",)),
        (dates("2024-01-01", 300, "h"), ("hour", "weekday")),
        (dates("2024-01-01", 300, "D"), ("weekday",)),
        (dates("2020-01-01", 900, "D"), ("weekday", "month")),
        (dates("2024-01-01", 7, "D"), ("weekday",)),
        (dates("2024-01-01", 180, "D", shuffle=True), ("weekday",)),
        (dates("2024-01-01", 366, "D", shuffle=True), ("weekday", "month")),
        (["23:59:59", "00:10:00"], ("hour",)),
    ],
)
def test_a_date_has_the_parts_whose_cycle_its_range_covers(cells, parts):
    assert decide(list(cells)).column.parts == parts


def test_the_decision_about_a_date_names_the_unused_parts():
    assert decide(list(dates("2024-01-01", 300, "h"))).decision == "hour, weekday; not month, trend"


def test_dates_of_a_short_time_are_a_feature_only_if_they_are_declared():
    cells = list(dates("2024-01-01", 100, "min"))
    assert decide(cells).column is None
    assert decide(cells, kinds={"x": "datetime"}).column.parts == ("hour",)
    assert decide(cells, parts={"x": ("trend",)}).column.parts == ("trend",)


def test_the_month_of_dates_needs_a_year_of_train_rows():
    cells = list(dates("2024-01-01", 500, "D"))
    assert decide(cells, train_share=0.5).column.parts == ("weekday",)


def test_levels_are_ordered_by_frequency_and_limited():
    cells = [f"v{i}" for i in range(150) for _ in range(150 - i + 5)]
    levels = decide(list(RNG.permutation(cells))).column.levels
    assert levels == tuple(f"v{i}" for i in range(100))


def test_values_are_counted_in_bounded_memory():
    cells = [f"v{i}" for i in range(30_000)] + ["usual"] * 40_000
    decision = decide(list(RNG.permutation(cells)), batch=5_000)
    assert decision.capped
    assert decision.distinct == 10_000
    assert decision.column.levels[0] == "usual"


@pytest.mark.parametrize(
    ("extreme", "note"),
    [
        ([-9999.0] * 3, "-9999 in 3 cells may mean a missing value"),
        ([9.97e36] * 2, "9.97e+36 in 2 cells"),
        ([1e30], "1e+30 is far outside"),
        ([4.0], ""),
        ([50.0], ""),
    ],
)
def test_fill_values_and_huge_numbers_are_reported(extreme, note):
    decision = decide(np.concatenate([FLOATS, extreme]))
    assert decision.kind == "numeric"
    assert note in decision.decision
    assert bool(decision.notes) == bool(note)


def test_dates_far_outside_and_infinite_numbers_are_reported():
    days = [f"2024-01-{1 + i % 28:02d}" for i in range(300)]
    decision = decide([*days, "9999-12-31", "9999-12-31"])
    assert decision.notes == ("9999-12-31 in 2 cells may mean a missing value",)
    assert decide([*FLOATS, np.inf]).notes == ("infinite in 1 cell",)


def test_amounts_over_six_orders_of_magnitude_are_not_reported():
    amounts = np.exp(RNG.normal(size=5000) * 2.5).round(2)
    assert decide(amounts).notes == ()


def test_a_name_that_is_no_column_is_rejected_with_the_nearest(refusal):
    frame = pd.DataFrame({"site": ["a", "b"]})
    batches = [batch for _, batch in frame_batches(frame)]
    sentence = refusal(infer_columns, batches, ["site"], "mine.csv", Declared({"sight": "numeric"}))
    assert "`kinds` names 'sight'" in sentence
    assert "did you mean 'site'" in sentence
