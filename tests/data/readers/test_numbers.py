"""Numbers in text cells."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourglass.data.readers.numbers import MISSING_MARKERS, NumberFormat, parse_numbers

POINT, COMMA = NumberFormat("."), NumberFormat(",")


def parsed(*cells, numbers=POINT):
    return parse_numbers(pa.array(cells, pa.string()), numbers).to_pylist()


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_every_double_is_read_exactly(values):
    assert parsed(*map(repr, values)) == values


@given(
    st.lists(st.integers(-(10**12), 10**12), min_size=1),
    st.sampled_from([(".", mark) for mark in ",' \u00a0\u202f"] + [(",", mark) for mark in ".' "]),
)
def test_groups_of_digits_are_read_exactly(cents, marks):
    decimal, thousands = marks
    texts = [f"{Decimal(cent) / 100:,.2f}" for cent in cents]
    swap = str.maketrans({",": thousands, ".": decimal})
    found = parsed(*(text.translate(swap) for text in texts), numbers=NumberFormat(decimal))
    assert found == [float(Decimal(cent) / 100) for cent in cents]


def test_plain_numbers_are_those_of_pandas():
    cells = ["1", "-2.5", "+3", ".5", "5.", "1e5", "2E-3", "007", "inf", "x", "1.2.3", "", "1,5"]
    expected = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce")
    found = parse_numbers(pa.array(cells), POINT).to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(found, expected.to_numpy(float))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12 kg", 12.0),
        ("15 %", 15.0),
        ("15%", 15.0),
        ("20.5\u00b0C", 20.5),
        ("5 m³/h", 5.0),
        ("$1,234.50", 1234.5),
        ("-$5", -5.0),
        ("$-5", -5.0),
        ("3.50 \u20ac", 3.5),
        ("EUR 3.50", 3.5),
        ("(1,234.50)", -1234.5),
        ("12-", -12.0),
        ("\u22125", -5.0),
        ("  7 ", 7.0),
    ],
)
def test_units_percent_signs_and_currencies_are_dropped(cell, value):
    assert parsed(cell) == [value]


@pytest.mark.parametrize(
    "cell",
    [
        *MISSING_MARKERS,
        "1,23",
        "12,34,56",
        "1.5k",
        "2024-05-01",
        "08:00",
        "P-02",
        "--5",
        "(5",
        "e5",
    ],
)
def test_other_cells_are_null(cell):
    assert parsed("1", cell, "2.5") == [1.0, None, 2.5]


def test_a_decimal_comma_is_no_point():
    assert parsed("1,5", "1.234,5", "2.5", numbers=COMMA) == [1.5, 1234.5, None]


def test_only_the_given_separator_of_thousands_is_read():
    numbers = NumberFormat(".", thousands="'")
    assert parsed("1'234", "1,234", numbers=numbers) == [1234.0, None]
    assert parsed("1,234", numbers=NumberFormat(".", thousands="")) == [None]


def test_cells_in_another_unit_than_half_of_the_column_are_null():
    assert parsed("12 kg", "13 kg", "4", "5 g") == [12.0, 13.0, 4.0, None]
    assert parsed("12", "13", "4", "5 g", "6 g") == [12.0, 13.0, 4.0, None, None]
    assert parsed("12 kg", "13 g", "14 kg", "15 g", "x") == [None, 13.0, None, 15.0, None]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([True, None, False]), [1.0, None, 0.0]),
        (pa.array([1, None, 2**63 - 1]), [1.0, None, 2.0**63]),
        (pa.array([Decimal("1.50"), None]), [1.5, None]),
        (pa.array([1.5, float("nan"), None]), [1.5, None, None]),
        (pa.array(["1.5", "x", None]).dictionary_encode(), [1.5, None, None]),
        (pa.array(["1,234", None], pa.large_string()), [1234.0, None]),
        (pa.array([0, 1], pa.timestamp("s")), [None, None]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_columns_with_types_are_numbers_too(column, expected):
    assert parse_numbers(column, POINT).to_pylist() == expected
