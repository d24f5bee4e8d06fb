import numpy as np
import pandas as pd
import pytest
from torch import Tensor, nn

from hourglass.networks import Network
from hourglass.studies.restoration import tables
from hourglass.studies.restoration.classical import METHODS
from hourglass.studies.restoration.tasks import tasks_for

SHAPE = (3, 13, 12)


class Copy(Network):
    """Return what it sees."""

    def __init__(self) -> None:
        super().__init__(sample_shape=SHAPE, latent_dim=1)
        self.encoder = self.decoder = nn.Identity()

    def encode(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture
def data(prepared, monkeypatch):
    """Give a data set of some images, and methods of few settings."""
    few = tuple(type(m)(m.name, m.tasks, m.restore, m.settings[-1:]) for m in METHODS)
    monkeypatch.setattr(tables, "METHODS", few)
    return prepared(SHAPE)


def test_a_network_that_copies_is_as_good_as_the_input(data):
    classical = tables.classical_table(data, 0)
    copied = tables.network_table(Copy(), data, 0).drop(columns="method")
    untouched = classical[classical.method == "input"].drop(columns="method")
    pd.testing.assert_frame_equal(copied, untouched.reset_index(drop=True))


def test_every_level_has_a_row_of_every_method_for_it(data):
    found = tables.classical_table(data, 0)
    assert list(found) == ["task", "level", "method", "PSNR", "SSIM"]
    expected = {
        (task.name, level, method.name)
        for task in tasks_for(SHAPE)
        for level in task.levels
        for method in METHODS
        if task.name in method.tasks
    }
    rows = list(zip(found.task, found.level, found.method, strict=True))
    assert len(rows) == len(set(rows))
    assert set(rows) == expected


def test_a_perfect_copy_has_no_psnr(data):
    found = tables.network_table(Copy(), data, 0)
    nothing = found[(found.task == "gaussian") & (found.level == 0)]
    assert nothing.PSNR.isna().all()
    assert found.drop(nothing.index).PSNR.notna().all()
    assert nothing.SSIM.tolist() == pytest.approx([1])


def test_another_seed_draws_another_table(data):
    first, again, other = (tables.network_table(Copy(), data, seed).PSNR for seed in (0, 0, 1))
    pd.testing.assert_series_equal(first, again)
    assert not first.equals(other)


def test_settings_are_chosen_on_validation_images_with_draws_of_their_own(data, monkeypatch):
    seen = []
    monkeypatch.setattr(tables.METHODS[1].__class__, "chosen", lambda self, v: seen.append(v) or {})
    task = tasks_for(SHAPE)[3]
    ((test, _, _), *_) = tables.classical(data, task, 2.0, 0)
    validation = data.split("validation")
    np.testing.assert_allclose(seen[0].clean * 255, validation.x[~validation.anomaly], atol=1e-4)
    assert len(test.clean) == 6
