"""Every variant on windows of series with categories, truth values and missing cells."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hourglass import models
from hourglass.data.batches import Scaled
from hourglass.data.columns.column import Column
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.window_batches import WindowBatches
from hourglass.detection.scorers import (
    Combined,
    MaskedReconstruction,
    ModelScore,
    Neighbors,
    StandardizedError,
)
from hourglass.detection.scoring import FittedScorer
from tests.workspaces import SERIES_ONLY, VARIANTS

WINDOW, CPU = 16, torch.device("cpu")
SCORERS = [
    ModelScore(),
    MaskedReconstruction(),
    Combined([StandardizedError(), Neighbors(of="input")]),
]


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, SeriesEncoding]:
    """Return the codes of a series of mixed columns, and their encoding."""
    rng, count = np.random.default_rng(0), 200
    cells = [rng.normal(size=count), rng.integers(0, 3, count), rng.integers(0, 2, count)]
    values = np.column_stack(cells).astype(float)
    values[rng.random(values.shape) < 0.05] = np.nan
    columns = [
        Column("time", "time"),
        Column("a"),
        Column("b", "categorical", levels=("x", "y")),
        Column("c", "boolean", levels=("no", "yes")),
    ]
    x = np.column_stack([np.arange(count, dtype=float), values])
    return x, replace(SeriesEncoding.fit(columns, x), window=WINDOW)


@pytest.mark.parametrize("name", [*VARIANTS, *sorted(SERIES_ONLY)])
def test_a_variant_trains_on_and_scores_windows_of_mixed_columns(name, rows):
    x, encoding = rows
    windows = encoding.windows(x)
    batches = WindowBatches(x, windows, windows.starts, Scaled(encoding, CPU), CPU)
    batch = next(batches.batches(None, [slice(0, 32)]))
    module = getattr(models, models.VARIANTS[name])(encoding.input_shape)
    module.add_heads(encoding.heads)
    loss = module.training_loss(batch)
    loss.backward()
    assert torch.isfinite(loss)
    for scorer in SCORERS:
        fitted = FittedScorer.fit(module.eval().network, encoding, scorer, x, x)
        assert np.isfinite(fitted(x)).all(), scorer


def test_a_missing_channel_is_asked_nothing(rows):
    x, encoding = rows
    torch.manual_seed(0)
    module = models.Undercomplete(encoding.input_shape, latent_dim=4)
    module.add_heads(encoding.heads)
    heads = module.network.heads
    windows = torch.from_numpy(encoding(x[:WINDOW])).T[None]
    losses = heads.losses(windows, torch.zeros_like(windows))
    assert losses.shape == (1, WINDOW, 3)
    assert (losses[0].isnan().numpy() == np.isnan(x[:WINDOW, 1:])).all()
