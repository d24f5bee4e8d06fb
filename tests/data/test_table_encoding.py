"""The encoding of tables: equal to scikit-learn's, exact in double precision, invertible."""

import json

import numpy as np
import pytest
import torch
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    QuantileTransformer,
    StandardScaler,
)

from hourglass.data.columns.column import Column
from hourglass.data.prepared_data import Prepared
from hourglass.data.table_encoding import LINEAR_LIMIT, TableEncoding
from hourglass.stages.prepare import prepare
from tests.tables import number_encoding

REFERENCES = {
    "standard": StandardScaler,
    "minmax": MinMaxScaler,
    "none": FunctionTransformer,
    "auto": StandardScaler,
}
RNG = np.random.default_rng(0)
TRAIN, OTHER = (RNG.normal(size=(n, 4)) * [1e-3, 1, 10, 1e3] + [0, 5, -10, 0] for n in (300, 20))
COLUMNS = (
    Column("amount", scaling="log"),
    Column("site", "categorical", levels=("Paris", "Rome", "Oslo")),
    Column("open", "boolean", levels=("no", "yes")),
    Column("when", "datetime", parts=("hour", "weekday", "month", "trend")),
    Column("rank", scaling="quantile"),
)


def mixed(rows: int, missing: float = 0.2, seed: int = 0) -> np.ndarray:
    """Return codes of COLUMNS with missing cells."""
    rng = np.random.default_rng(seed)
    x = np.stack(
        [
            np.exp(rng.normal(0, 3, rows)),
            rng.integers(0, 4, rows),  # 3 is another site
            rng.integers(0, 2, rows),
            rng.integers(1_700_000_000, 1_760_000_000, rows),
            rng.normal(size=rows),
        ],
        axis=1,
    )
    x[rng.random(x.shape) < missing] = np.nan
    return x


@pytest.mark.parametrize("scaling", REFERENCES)
def test_numbers_are_scaled_as_scikit_learn_does(scaling):
    encoding, reference = number_encoding(TRAIN, scaling), REFERENCES[scaling]().fit(TRAIN)
    expected = reference.transform(OTHER)
    within = np.abs(expected) < LINEAR_LIMIT
    encoded = encoding(OTHER)
    np.testing.assert_allclose(encoded[within], expected[within], rtol=1e-6, atol=1e-6)
    assert encoded.dtype == np.float32


def test_ranks_are_those_of_scikit_learn():
    x = RNG.normal(size=(5000, 1)) ** 3
    encoded = number_encoding(x, "quantile")(x)
    expected = QuantileTransformer(output_distribution="normal").fit_transform(x)
    central = np.abs(expected) < 2
    np.testing.assert_allclose(encoded[central], expected[central], atol=0.1)


def test_seconds_since_1970_keep_their_differences():
    epoch = 1_760_000_000 + RNG.normal(0, 10, (400, 1))
    np.testing.assert_allclose(
        number_encoding(epoch)(epoch), StandardScaler().fit_transform(epoch), atol=1e-6
    )


def test_a_more_extreme_number_has_a_larger_finite_input():
    encoding = number_encoding(TRAIN[:, :1])
    extremes = np.array([[1.0], [1e3], [1e20], [1e30], [1e300], [np.inf]])
    encoded = encoding(extremes)[:, 0]
    assert np.isfinite(encoded).all()
    assert (np.diff(encoded[:5]) > 0).all()
    assert encoded[5] >= encoded[4]
    assert (encoding(-extremes)[:, 0] <= -encoded + 1).all()


def test_one_absurd_number_does_not_flatten_its_column():
    x = TRAIN[:, :1].copy()
    x[7] = 1e30
    assert number_encoding(x, "auto")(TRAIN[:, :1]).std() > 0.1


def test_rows_with_an_absurd_number_are_extreme():
    x = TRAIN.copy()
    x[3, 1] = 1e20
    x[4, 2] = np.nan
    assert np.flatnonzero(number_encoding(x).is_extreme(x)).tolist() == [3]


def test_amounts_over_six_orders_of_magnitude_are_spread_by_default():
    amounts = 10 ** RNG.uniform(0, 6, (1000, 1))
    amounts[:5] *= 1e3
    encoded = number_encoding(amounts, "auto")(amounts)
    assert np.abs(encoded).max() < 5


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e30])
@pytest.mark.parametrize("scaling", ["standard", "minmax", "robust", "auto", "quantile"])
def test_a_column_that_is_constant_on_train_is_shifted_and_not_scaled(scaling, value):
    encoding = number_encoding(np.full((37, 1), value), scaling)
    np.testing.assert_allclose(
        encoding(np.array([[value], [value + 2]])), [[0], [2 if value < 9 else 0]]
    )


def test_categories_are_encoded_as_scikit_learn_does():
    column = Column("site", "categorical", levels=("a", "b", "c"))
    codes = np.array([[0.0], [2], [1], [3]])
    expected = OneHotEncoder(sparse_output=False).fit_transform(codes)
    np.testing.assert_array_equal(TableEncoding.fit([column], codes)(codes), expected)


def test_hours_are_close_at_midnight():
    column = Column("when", "datetime", parts=("hour",))
    late, early, noon = np.array([[23.5], [24.5], [36.0]]) * 3600
    encoding = TableEncoding.fit([column], np.array([late, early, noon]))
    inputs = encoding(np.array([late, early, noon]))
    assert np.linalg.norm(inputs[0] - inputs[1]) < 0.3 < np.linalg.norm(inputs[0] - inputs[2])


def test_a_missing_cell_is_nan_with_an_indicator():
    x = mixed(200)
    encoding = TableEncoding.fit(COLUMNS, x)
    inputs, values = encoding(x), encoding.width - len(COLUMNS)
    np.testing.assert_array_equal(inputs[:, values:], np.isnan(x))
    np.testing.assert_array_equal(
        np.isnan(inputs[:, :values]), np.isnan(x)[:, encoding.source[:values]]
    )


def test_columns_without_missing_cells_in_training_have_no_indicator():
    x = mixed(200, missing=0)
    encoding = TableEncoding.fit(COLUMNS, x)
    assert encoding.width == 1 + 4 + 1 + 7 + 1
    assert np.isnan(encoding(mixed(50))).any()


def test_tensors_are_encoded_as_arrays_are():
    x = mixed(500)
    encoding = TableEncoding.fit(COLUMNS, x)
    np.testing.assert_allclose(encoding(torch.from_numpy(x)).numpy(), encoding(x), atol=2e-6)


def test_the_inverse_restores_codes():
    x = mixed(500)
    encoding = TableEncoding.fit(COLUMNS, x)
    restored = encoding.inverse(encoding(x))
    np.testing.assert_allclose(restored[:, :3], x[:, :3], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(restored[:, 3], x[:, 3], atol=60)  # seconds
    central = np.abs(x[:, 4]) < 2
    np.testing.assert_allclose(restored[central, 4], x[central, 4], atol=0.05)


def test_json_restores_the_encoding_to_the_bit():
    x = mixed(300)
    encoding = TableEncoding.fit(COLUMNS, x)
    again = TableEncoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    assert again(x).tobytes() == encoding(x).tobytes()


def test_prepare_fits_on_train_and_writes_codes(own_table):
    prepared = Prepared.open(prepare(own_table))
    train = prepared.split("train").x
    scaled = prepared.scaling(train)
    np.testing.assert_allclose([scaled.mean(0), scaled.std(0)], [[0] * 6, [1] * 6], atol=1e-5)
    assert train.std(0).max() > 3
