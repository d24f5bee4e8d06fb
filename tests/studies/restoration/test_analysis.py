"""Tables of PSNR and SSIM, of a network that returns its input and of classical methods."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from torch import Tensor, nn

from hourglass.core.atomic import write_json
from hourglass.networks import Network
from hourglass.studies.restoration import analysis
from hourglass.studies.restoration.classical import METHODS, Method
from hourglass.studies.restoration.tasks import tasks_for
from tests.studies.conftest import first_elements, rewrite

SHAPE = (3, 13, 12)


class Identity(Network):
    """Return the input."""

    def __init__(self) -> None:
        super().__init__(sample_shape=SHAPE, latent_dim=1)
        self.encoder = self.decoder = nn.Identity()

    def encode(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture
def data(smooth_images, monkeypatch):
    """Give a data set of some images; each method has a single setting."""
    single = [replace(method, settings=[[*method.settings][-1]]) for method in METHODS]
    monkeypatch.setattr(analysis, "METHODS", single)
    return smooth_images(SHAPE)


def test_the_classical_table_has_one_row_per_task_level_and_method(data):
    table = analysis.classical_table(data, 0)
    assert list(table) == ["task", "level", "method", "PSNR", "SSIM"]
    rows = list(zip(table.task, table.level, table.method, strict=True))
    assert rows == [
        (task.name, level, method.name)
        for task in tasks_for(SHAPE)
        for level in task.levels
        for method in METHODS
        if task.name in method.tasks
    ]
    # A network that returns its input is as good as the input.
    identity = analysis.network_table(Identity(), data, 0).drop(columns="method")
    untouched = table[table.method == "input"].drop(columns="method")
    pd.testing.assert_frame_equal(identity, untouched.reset_index(drop=True))


def test_a_perfect_copy_has_no_psnr(data):
    table = analysis.network_table(Identity(), data, 0)
    unchanged = table[(table.task == "gaussian") & (table.level == 0)]
    assert unchanged.PSNR.isna().all()
    assert table.drop(unchanged.index).PSNR.notna().all()
    assert unchanged.SSIM.tolist() == pytest.approx([1])


def test_the_psnr_of_a_perfect_copy_is_left_out_of_the_metrics(clusters, tmp_path):
    rewrite(clusters, lambda _, x: np.zeros_like(x), "x")
    empty = pd.DataFrame(columns=["task", "level", "method", "PSNR", "SSIM"])
    metrics = analysis.analyse_restoration(first_elements(clusters, 3), empty).metrics
    assert "PSNR_masking" not in metrics
    assert metrics["SSIM_masking"] == 1
    assert np.isfinite(metrics["PSNR_noise_0.5"])
    write_json(tmp_path / "metrics.json", metrics)  # fails for values that are not finite


def test_the_table_depends_on_the_seed(data):
    first, again, other = (
        analysis.network_table(Identity(), data, seed).PSNR for seed in (0, 0, 1)
    )
    pd.testing.assert_series_equal(first, again)
    assert not first.equals(other)


def test_settings_are_selected_on_validation_images_with_other_draws(data, monkeypatch):
    problems = []
    monkeypatch.setattr(Method, "select_settings", lambda self, v: problems.append(v) or {})
    masking = tasks_for(SHAPE)[1]
    ((test, _, _), *_) = analysis.restore_classically(data, masking, 0.5, 0)
    validation = data.split("validation")
    expected = validation.x[~validation.anomaly]
    np.testing.assert_allclose(problems[0].clean * 255, expected, atol=1e-4)
    assert not np.array_equal(problems[0].missing, test.missing)
