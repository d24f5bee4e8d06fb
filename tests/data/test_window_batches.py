"""Batches of windows equal those of materialised windows, at every residency."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hourglass.data.batches import Scaled
from hourglass.data.datamodule import CodesDataModule, DataModule
from hourglass.data.prepared_data import PreparedInMemory, Samples
from hourglass.data.window_batches import WindowBatches
from tests.data.series_rows import series_encoding, series_rows

CPU = torch.device("cpu")


def materialised(x, encoding):
    windows = encoding.windows(x)
    rows = windows.row_of_step[windows.starts[:, None] + np.arange(encoding.window)]
    return encoding(x[rows.ravel()]).reshape(*rows.shape, -1).transpose(0, 2, 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_are_those_of_materialised_windows(stream, shuffled):
    x, columns = series_rows(200, entities=2)
    encoding = series_encoding(x, columns, window=8, stride=2)
    expected, windows = materialised(x, encoding), encoding.windows(x)
    order = torch.randperm(len(expected)) if shuffled else None
    batches = WindowBatches(x, windows, windows.starts, Scaled(encoding, CPU), CPU, stream)
    parts = [slice(i, i + 7) for i in range(0, len(expected), 7)]
    found = torch.cat(list(batches.batches(order, parts)))
    wanted = torch.from_numpy(expected)
    assert torch.equal(found, wanted if order is None else wanted[order])


def test_windows_are_not_materialised():
    x, columns = series_rows(2000, channels=1)
    encoding = series_encoding(x, columns, window=50)
    windows = encoding.windows(x)
    batches = WindowBatches(x, windows, windows.starts, Scaled(encoding, CPU), CPU)
    assert batches.view is not None
    assert batches.view.untyped_storage().nbytes() == 4 * len(windows.row_of_step)


def test_codes_of_windows_are_those_of_the_lower_layers():
    x, columns = series_rows(200, channels=2, entities=2)
    encoding = series_encoding(x, columns, window=8)
    card = {"scaling": encoding.to_dict(), "sample_shape": [x.shape[1]], "data": "series"}
    prepared = PreparedInMemory(Path("series"), card, {"train": Samples.normal(x)})
    layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    data = CodesDataModule(SeriesModule(prepared), layers)
    found = torch.cat(list(data.rows("train").batches(None, [slice(0, 10_000)])))
    with torch.no_grad():
        expected = layers(torch.from_numpy(materialised(x, encoding)))
    torch.testing.assert_close(found, expected)


class SeriesModule(DataModule):
    """A data module of samples in memory."""

    def __init__(self, prepared: PreparedInMemory) -> None:
        super().__init__("series")
        self._prepared = prepared

    @property
    def prepared(self) -> PreparedInMemory:
        """Return the samples."""
        return self._prepared
