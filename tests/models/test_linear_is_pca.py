"""The optimum of a linear autoencoder is PCA (Baldi and Hornik 1989)."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from hourglass.evaluation import baselines
from hourglass.models.linear import Linear

LATENT_DIM = 8
X = load_digits(n_class=8).data / 16  # (N, 64)


@pytest.fixture(scope="module")
def trained() -> Linear:
    """Give `linear`, trained on its own loss until that no longer falls."""
    torch.manual_seed(0)
    module, x = Linear((64,), LATENT_DIM).double(), torch.from_numpy(X)
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=2000, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = module.training_step(x)
        loss.backward()
        return loss

    optimizer.step(closure)
    return module


@pytest.fixture(scope="module")
def pca() -> PCA:
    return PCA(LATENT_DIM, svd_solver="full").fit(X)


def pca_errors(pca: PCA) -> np.ndarray:
    return np.square(pca.inverse_transform(pca.transform(X)) - X).mean(1)


def test_linear_reaches_pcas_error_which_is_the_optimum(trained, pca):
    error, optimum = trained.score(torch.from_numpy(X)).mean().item(), pca_errors(pca).mean()
    assert (1 - 1e-9) * optimum <= error <= 1.02 * optimum


def test_linears_outputs_span_pcas_subspace(trained, pca):
    basis = trained.network.decoder[0].weight.detach().numpy()  # (64, LATENT_DIM)
    assert np.degrees(subspace_angles(basis, pca.components_.T)).max() < 5


def test_the_baselines_scores_are_pcas_errors(pca):
    scores = baselines.pca(X.astype(np.float32), LATENT_DIM)(X.astype(np.float32))
    np.testing.assert_allclose(scores, pca_errors(pca), rtol=1e-3)
