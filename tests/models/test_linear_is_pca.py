"""The optimum of a linear autoencoder is PCA (Baldi and Hornik 1989), and `linear` reaches it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.preprocessing import scale
from torch.utils.data import DataLoader, TensorDataset

from hourglass.api.estimator import Autoencoder
from hourglass.data.table_encoding import LINEAR_LIMIT
from hourglass.evaluation import baselines
from hourglass.models import linear
from hourglass.models.linear import Linear
from hourglass.training.trainer import bare_trainer

TABLES = {
    "digits": load_digits(n_class=8).data / 16,
    "breast_cancer": scale(load_breast_cancer().data),
    "fewer samples than features": load_digits().data[:40] / 16,
}
ADBENCH = Path(os.environ.get("HOURGLASS_DATA", ""), "adbench")


@pytest.fixture(params=TABLES)
def x(request) -> np.ndarray:
    """Give samples, (N, F)."""
    return TABLES[request.param].astype(np.float32)


def trained(x: np.ndarray, latent_dim: int = 8, kind: type = Linear, **settings: Any) -> Linear:
    """Return the module after three epochs of training."""
    torch.manual_seed(0)
    module = kind(x.shape[1:], latent_dim, **settings)
    trainer = bare_trainer(max_epochs=3, accelerator="cpu", enable_checkpointing=False)
    trainer.fit(module, DataLoader(TensorDataset(torch.from_numpy(x)), 64, shuffle=True))
    return module


def errors(module: Linear, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module.score(torch.from_numpy(x)).numpy()


def pca_errors(train: np.ndarray, test: np.ndarray, latent_dim: int = 8) -> np.ndarray:
    pca = PCA(latent_dim, svd_solver="full").fit(train.astype(np.float64))
    return np.square(pca.inverse_transform(pca.transform(test)) - test).mean(1)


@pytest.mark.parametrize("tied", [False, True])
def test_the_errors_of_linear_are_those_of_pca(x, tied):
    module = trained(x, tied=tied)
    assert module.trainer.current_epoch == 1
    np.testing.assert_allclose(errors(module, x), pca_errors(x, x), rtol=1e-3, atol=1e-6)


def test_the_errors_of_windows_are_those_of_pca_of_flattened_windows():
    steps = TABLES["breast_cancer"].astype(np.float32).reshape(-1, 5, 6)  # 5 inputs, 6 steps
    flat = steps.reshape(-1, 30)
    np.testing.assert_allclose(
        errors(trained(steps), steps), pca_errors(flat, flat), rtol=1e-3, atol=1e-6
    )


def test_pca_of_many_large_samples_is_that_of_those_that_fit_into_memory(monkeypatch):
    x = np.random.default_rng(0).normal(size=(500, 200)).astype(np.float32)
    monkeypatch.setattr(linear, "MAX_BYTES", 8 * 200 * 100)
    seen: list[np.ndarray] = []
    samples = Linear._training_samples
    monkeypatch.setattr(
        Linear, "_training_samples", lambda self: (seen.append(y) or y for y in samples(self))
    )
    module, used = trained(x), np.concatenate(seen)
    assert len(used) == 128  # the first two batches
    np.testing.assert_allclose(errors(module, x), pca_errors(used, x), rtol=1e-3, atol=1e-6)


def test_the_gradient_of_the_loss_is_zero(x):
    module, samples = trained(x).double(), torch.from_numpy(x).double()
    gradients = torch.autograd.grad(module.training_loss(samples), [*module.parameters()])
    assert max(gradient.abs().max() for gradient in gradients) < 1e-6


def test_a_code_as_wide_as_the_samples_reconstructs_them():
    x = TABLES["breast_cancer"].astype(np.float32)
    assert errors(trained(x, latent_dim=40), x).max() < 1e-9


class Penalised(Linear):
    def penalty(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z.abs().mean()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(Linear, {"noise_factor": 0.5}), (Linear, {"weight_decay": 0.1}), (Penalised, {})],
)
def test_a_training_with_another_loss_starts_from_pca_and_goes_on(x, kind, settings):
    module = trained(x, kind=kind, learning_rate=1e-9, **settings)
    assert module.trainer.current_epoch == 3
    np.testing.assert_allclose(errors(module, x), pca_errors(x, x), rtol=1e-2, atol=1e-5)
    moved = trained(x, kind=kind, learning_rate=0.03, **settings)
    assert not np.allclose(errors(moved, x), pca_errors(x, x), rtol=1e-2)


def test_the_baselines_scores_are_pcas_errors(x):
    scores = baselines.pca(x, 8)(x)
    np.testing.assert_allclose(scores, pca_errors(x, x), rtol=1e-3, atol=1e-6)


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(ADBENCH.glob("*.npz")), ids=lambda path: path.stem)
def test_the_estimators_linear_is_within_a_hundredth_of_pcas_error_on_adbench(path):
    with np.load(path) as arrays:
        x, anomaly = arrays["X"].astype(np.float64), arrays["y"] == 1
    normal = np.random.default_rng(0).permutation(np.flatnonzero(~anomaly))[:10_000]
    train, test, calibration = np.split(normal, [len(normal) // 2, 3 * len(normal) // 4])
    size = max(1, x.shape[1] // 3)
    estimator = Autoencoder("linear", latent_dim=size, alpha=0.5)
    estimator.fit(x[train], validation=x[calibration], calibration=x[calibration])
    # Inputs of the network: scaled, and in training limited.
    scoring = estimator.detector_.scoring
    inputs = scoring.scaling(x).astype(np.float64)
    limited = inputs[train].clip(-LINEAR_LIMIT, LINEAR_LIMIT)
    ours = scoring.with_errors(x[test])[1].mean()
    reference = pca_errors(limited, inputs[test], size).mean()
    print(f"{path.stem}: linear {ours:.5f}, PCA {reference:.5f}")
    assert ours == pytest.approx(reference, rel=0.01)
