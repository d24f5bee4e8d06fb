"""Cells of a table as points in a figure: one number for the value, one for the reconstruction."""

import numpy as np

from hourglass.data.columns.cell_values import OTHER, date_texts, level_names
from hourglass.data.columns.encoding import ColumnEncoding
from hourglass.data.table_encoding import TableEncoding


def column_points(
    encoding: TableEncoding, x: np.ndarray, output: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the values and the reconstructions of cells, (n, C), and texts, (n, C).

    `x` are codes, (n, C), and `output` the reconstructions of inputs, (n, F). The value of a number
    is scaled, that of a boolean is 0 or 1 and its reconstruction a probability. The value of a
    category is 1, and its reconstruction the probability of its level. A date has the part that
    differs most. A missing cell is NaN. Texts are "" for numbers.
    """
    inputs, first = encoding(x), 0
    x = encoding.features(x)
    points = np.full((2, *x.shape), np.nan)
    texts = np.full(x.shape, "", object)
    for i, column in enumerate(encoding.columns):
        cells = slice(first, first + column.width)
        first += column.width
        place = _shown_cell(column, x[:, i], inputs[:, cells], output[:, cells])
        for values, row in zip(points, (inputs, output), strict=True):
            values[:, i] = np.take_along_axis(row[:, cells], place[:, None], 1)[:, 0]
        texts[:, i] = _texts(column, x[:, i])
        points[:, np.isnan(x[:, i]), i] = np.nan
    return points[0], points[1], texts


def _shown_cell(
    column: ColumnEncoding, codes: np.ndarray, inputs: np.ndarray, output: np.ndarray
) -> np.ndarray:
    if column.column.kind == "categorical":
        return np.where(np.isnan(codes), 0, codes).astype(int)
    if column.column.kind == "datetime":
        return np.nan_to_num(np.abs(inputs - output)).argmax(1)
    return np.zeros(len(codes), int)


def _texts(column: ColumnEncoding, codes: np.ndarray) -> np.ndarray:
    known = np.where(np.isnan(codes), 0, codes)
    if column.column.kind == "numeric":
        texts = np.full(len(codes), "", object)
    elif column.column.kind == "datetime":
        texts = date_texts(known).to_numpy(zero_copy_only=False)
    else:
        texts = np.array(level_names(column.column) or [OTHER], object)[known.astype(int)]
    return np.where(np.isnan(codes), "missing", texts)
