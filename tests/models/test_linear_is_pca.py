"""The optimum of a linear autoencoder is PCA (Baldi and Hornik 1989)."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from hourglass.core.paths import CONFIGS, PARAMS
from hourglass.data.prepared_data import Prepared
from hourglass.evaluation import baselines
from hourglass.models.linear import Linear
from hourglass.stages.prepare import prepare

LATENT_DIM = 8


@pytest.fixture(scope="module")
def digits(repository, tmp_path_factory) -> np.ndarray:
    """Give the scaled images of the digits' train split, flattened, (N, 64)."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in (CONFIGS, PARAMS):
        (folder / name).symlink_to(repository / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepared = Prepared.open(prepare("digits").absolute())
        return prepared.scaling(prepared.split("train").x).reshape(-1, 64)


@pytest.fixture(scope="module")
def trained(digits) -> Linear:
    """Give `linear`, trained on its own loss until that no longer falls."""
    torch.manual_seed(0)
    module = Linear((1, 8, 8), LATENT_DIM).double()
    x = torch.from_numpy(digits.astype(np.float64)).reshape(-1, 1, 8, 8)
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=2000, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = module.training_step(x)
        loss.backward()
        return loss

    optimizer.step(closure)
    return module


@pytest.fixture(scope="module")
def pca(digits) -> PCA:
    return PCA(LATENT_DIM, svd_solver="full").fit(digits.astype(np.float64))


def pca_error(pca: PCA, x: np.ndarray) -> float:
    return float(np.square(pca.inverse_transform(pca.transform(x)) - x).mean())


def linear_error(module: Linear, x: np.ndarray) -> float:
    samples = torch.from_numpy(x.astype(np.float64)).reshape(-1, 1, 8, 8)
    return module.score(samples).mean().item()


def test_linear_reaches_pcas_error_within_2_percent(trained, pca, digits):
    assert linear_error(trained, digits) <= 1.02 * pca_error(pca, digits)


def test_linear_is_not_better_than_pca_which_is_the_optimum(trained, pca, digits):
    assert linear_error(trained, digits) >= (1 - 1e-9) * pca_error(pca, digits)


def test_linears_outputs_span_pcas_subspace(trained, pca):
    basis = trained.network.decoder[0].weight.detach().numpy()  # (64, LATENT_DIM)
    assert np.degrees(subspace_angles(basis, pca.components_.T)).max() < 5


def test_the_baselines_scores_are_pcas_errors(pca, digits):
    expected = np.square(pca.inverse_transform(pca.transform(digits)) - digits).mean(1)
    found = baselines.pca(digits, LATENT_DIM)(digits)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
