"""Drift of single columns."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from hourglass.data.columns.bins import ColumnBins
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.data.frames import frame_batches
from hourglass.detection.drift.column_drift import (
    ColumnCounts,
    ColumnDrift,
    column_sentence,
    homogeneity,
    stability_index,
)
from tests.mixed_tables import mixed_columns, mixed_frame

COLUMNS = mixed_columns()
TRAIN = codes(mixed_frame(3000, 1), COLUMNS)
BINS = [ColumnBins.fit(TRAIN[:, i], column) for i, column in enumerate(COLUMNS)]


def drift(frame: pd.DataFrame) -> dict[str, ColumnDrift]:
    counts = ColumnCounts(COLUMNS, BINS)
    for start in range(0, len(frame), 400):  # in chunks, as a file
        for _, batch in frame_batches(frame[start : start + 400]):
            counts.add(codes(batch, COLUMNS), batch)
    return {column.name: column for column in counts.drift(0.01)}


def test_rows_of_the_same_distribution_have_not_drifted():
    found = drift(mixed_frame(2000, 2))
    assert not any(column.changed for column in found.values())
    sentence = "The distribution of no column has changed, nor its share of missing cells."
    assert column_sentence([*found.values()]) == sentence


def test_numbers_far_outside_of_the_reference_are_counted():
    frame = mixed_frame(2000, 2)
    frame.loc[3, "amount"], frame.loc[[5, 7], "TSH"] = 1e20, [-1e20, np.inf]
    found = drift(frame)
    assert {name: column.far for name, column in found.items() if column.far} == {
        "amount": 1,
        "TSH": 2,
    }
    sentence = column_sentence([*found.values()])
    assert "3 cells of TSH, amount" in sentence or "3 cells of amount, TSH" in sentence


def test_the_columns_that_changed_are_named_with_the_kind_of_change():
    frame = mixed_frame(2000, 2)
    frame.loc[:400, "service"] = "tftp"
    frame.loc[:900, "TSH"] = np.nan
    frame["amount"] *= 3
    found = drift(frame)
    assert {name for name, column in found.items() if column.changed} == {
        "service",
        "TSH",
        "amount",
    }
    assert found["service"].new == pytest.approx(401 / 2000)
    assert found["service"].new_values == {"tftp": 401}
    assert found["TSH"].missing == pytest.approx(frame.TSH.isna().mean())
    sentence = column_sentence([*found.values()])
    assert "20% new or rare values such as 'tftp'" in sentence
    assert "missing" in sentence


def test_the_test_of_homogeneity_is_that_of_scipy():
    before, now = np.array([40, 60, 100, 0]), np.array([30, 80, 50, 0])
    expected = chi2_contingency([before[:3], now[:3]], correction=False).pvalue
    assert homogeneity(before, now) == pytest.approx(expected)
    assert homogeneity(before, np.zeros(4, int)) == 1


def test_the_p_value_is_uniform_without_drift():
    rng = np.random.default_rng(0)
    shares = [0.3, 0.2, 0.2, 0.1, 0.1, 0.09, 0.01]
    p = [
        homogeneity(rng.multinomial(800, shares), rng.multinomial(300, shares)) for _ in range(500)
    ]
    assert np.mean(np.array(p) < 0.05) < 0.08


def test_the_stability_index_is_symmetric_and_zero_for_equal_shares():
    before, now = np.array([1000, 3000, 0]), np.array([2000, 2000, 0])
    assert stability_index(before, 2 * before) < 1e-6
    assert stability_index(before, now) == pytest.approx(stability_index(now, before))
    expected = (0.25 * np.log(2)) + (-0.25 * np.log(0.5 / 0.75))
    assert stability_index(before, now) == pytest.approx(expected, rel=0.01)


def test_a_detector_keeps_the_bins_of_its_columns(tmp_path):
    from dataclasses import replace

    from hourglass.detection.detector import Detector
    from tests.mixed_tables import mixed_detector

    replace(mixed_detector(), column_bins=tuple(BINS)).save(tmp_path)
    loaded = Detector.load(tmp_path).column_bins
    for found, expected in zip(loaded, BINS, strict=True):
        np.testing.assert_array_equal(found.edges, expected.edges)
        np.testing.assert_array_equal(found.counts, expected.counts)


def test_numbers_are_counted_by_quantiles_and_missing_cells_apart():
    bins = ColumnBins.fit(np.array([*range(100), np.nan]), Column("a"))
    assert bins.counts.tolist() == [0, *[10] * 10, 0, 1]
    assert bins.count(np.array([-1.0, 0, 99, 99.5, np.nan])).tolist() == [1, 1, *[0] * 8, 1, 1, 1]
