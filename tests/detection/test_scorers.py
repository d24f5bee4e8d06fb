"""Scorers: shared properties, and each against NumPy, SciPy or scikit-learn."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from hourglass.core.yaml_config import build
from hourglass.data.scaling import Scaling
from hourglass.detection.scorers import (
    Combined,
    Mahalanobis,
    ModelScore,
    Neighbors,
    RaPP,
    RelativeError,
    Scorer,
    StandardizedError,
)
from hourglass.detection.scoring import FittedScorer, errors, latent_codes, reconstructions
from hourglass.networks import Convolutional, Dense, Network

FEATURES = 12
PLAIN = Scaling.fit("none", np.zeros((1, FEATURES), np.float32))
SCORERS: dict[str, Callable[[], Scorer]] = {
    "own": ModelScore,
    "standardized_error": StandardizedError,
    "mahalanobis": Mahalanobis,
    "neighbors": lambda: Neighbors(3),
    "rapp": RaPP,
    "rapp, whitened": lambda: RaPP(whiten=True),
    "combined": lambda: Combined([ModelScore(), Neighbors(2), Mahalanobis()]),
}
EVERY = pytest.mark.parametrize("name", SCORERS)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Dense([FEATURES], 4, [8], "tanh").eval().requires_grad_(False)


def normal(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, FEATURES)).astype(np.float32)


def fitted(name: str, network: Network, n: int = 200) -> FittedScorer:
    return FittedScorer.fit(network, PLAIN, SCORERS[name](), normal(n))


@pytest.fixture(scope="module")
def images() -> Network:
    torch.manual_seed(0)
    return Convolutional([1, 9, 7], 3, [4]).eval().requires_grad_(False)


def pictures(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 1, 9, 7), np.float32)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("blur", [0.0, 0.7, 1.0])
def test_the_relative_error_agrees_with_scipys_blur(images, blur, standardize):
    scaling = Scaling.of_images(1.0)
    scorer = RelativeError(blur, standardize)
    found = FittedScorer.fit(images, scaling, scorer, pictures(60))(pictures(20, 1))

    def errors(x: np.ndarray) -> np.ndarray:
        off = reconstructions(images, x, scaling) - x
        if not blur:
            return (off**2).reshape(len(x), -1)
        radius = int(np.ceil(3 * blur))
        return np.stack([
            gaussian_filter(each[0], blur, mode="constant", radius=radius).ravel() ** 2
            for each in off
        ])  # fmt: skip

    usual, light = errors(pictures(60)).mean(0), (pictures(60) ** 2).sum((1, 2, 3)).mean()
    weights = 1 / (usual + 0.1 * usual.mean()) if standardize else 1
    own = (pictures(20, 1) ** 2).sum((1, 2, 3)) + 0.05 * light
    expected = (errors(pictures(20, 1)) * weights).sum(1) / own
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_relative_error_refuses_tables(network, refusal):
    assert "blurs images" in refusal(FittedScorer.fit, network, PLAIN, RelativeError(), normal(9))


@EVERY
def test_every_sample_has_a_finite_score_that_is_not_negative(name, network):
    found = fitted(name, network)(normal(50, 1) * 30)
    assert (found.shape, found.dtype) == ((50,), np.float64)
    assert np.isfinite(found).all()
    assert (found >= 0).all()


@EVERY
def test_a_score_does_not_depend_on_the_batch(name, network, monkeypatch):
    scoring, x = fitted(name, network), normal(50, 1)
    whole = scoring(x)
    monkeypatch.setattr("hourglass.detection.inference.MAX_BATCH_SAMPLES", 7)
    np.testing.assert_allclose(scoring(x), whole, rtol=1e-5, atol=1e-6)


@EVERY
def test_scores_and_errors_share_one_forward_pass(name, network, monkeypatch):
    scoring, x, passes = fitted(name, network), normal(50, 1), []
    expected = scoring(x), errors(network, x, PLAIN)
    decode = network.decode
    monkeypatch.setattr(network, "decode", lambda z: passes.append(len(z)) or decode(z))
    found = scoring.with_errors(x)
    assert passes == [50]
    np.testing.assert_array_equal(found, expected)


@EVERY
def test_distant_samples_score_higher(name, network):
    scoring = fitted(name, network)
    assert np.median(scoring(normal(50, 1) * 20)) > 1.2 * np.median(scoring(normal(50, 1)))


@EVERY
def test_a_scorer_can_be_rebuilt_from_its_description_and_from_yaml(name, network):
    scoring = fitted(name, network)
    describe = scoring.scorer.describe
    again = FittedScorer(network, PLAIN, Scorer.from_description(describe()), scoring.state)
    np.testing.assert_array_equal(again(normal(9, 1)), scoring(normal(9, 1)))
    assert build(describe(), Scorer, "params.yaml").describe() == describe()


def test_a_description_can_name_scorers_only():
    with pytest.raises(ImportError):
        Scorer.from_description({"class_path": "subprocess.Popen", "init_args": {"args": "true"}})
    with pytest.raises(TypeError):
        Scorer.from_description({"class_path": "hourglass.networks.Dense", "init_args": {}})


def test_the_model_score_is_the_mean_squared_error(network):
    x = normal(20, 1)
    np.testing.assert_allclose(fitted("own", network)(x), errors(network, x, PLAIN), rtol=1e-6)


def test_standardized_errors_of_normal_samples_average_one(network):
    assert fitted("standardized_error", network)(normal(200)).mean() == pytest.approx(1, rel=1e-4)


def test_a_feature_with_large_normal_errors_does_not_dominate(network):
    loud = normal(200) * np.array([50.0] + [1.0] * (FEATURES - 1), np.float32)
    scoring = FittedScorer.fit(network, PLAIN, StandardizedError(), loud)
    louder, quieter = loud[:1].copy(), loud[:1].copy()
    louder[:, 0] += 50  # usual
    quieter[:, 5] += 25  # unusual
    assert scoring(quieter)[0] > scoring(louder)[0]


def test_mahalanobis_agrees_with_scikit_learn(network):
    z = latent_codes(network, normal(200), PLAIN).astype(np.float64)
    expected = LedoitWolf().fit(z).mahalanobis(latent_codes(network, normal(20, 1), PLAIN)) ** 0.5
    found = fitted("mahalanobis", network)(normal(20, 1))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_neighbors_agree_with_brute_force(network):
    z = latent_codes(network, normal(200), PLAIN)
    brute = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(z)
    expected = brute.kneighbors(latent_codes(network, normal(20, 1), PLAIN))[0].mean(1)
    np.testing.assert_allclose(fitted("neighbors", network)(normal(20, 1)), expected, rtol=1e-4)


def test_rapp_sums_the_squared_differences_of_all_layers(network):
    x = torch.from_numpy(normal(20, 1))
    found = fitted("rapp", network)(x.numpy())
    again = torch.from_numpy(reconstructions(network, x.numpy(), PLAIN))
    first = network.encoder[0:3]
    expected = sum(
        (layer(x) - layer(again)).square().sum(1)
        for layer in (lambda each: each, first, network.encode)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_whitened_differences_of_normal_samples_have_unit_variance(network):
    scoring = fitted("rapp, whitened", network, 400)
    kept = scoring.state["whitening"].shape[1]
    assert scoring(normal(400)).mean() == pytest.approx(kept, rel=0.01)


def test_a_combination_ranks_samples_by_the_mean_standardised_log(network):
    scorer = Combined([ModelScore(), Mahalanobis()])
    found = FittedScorer.fit(network, PLAIN, scorer, normal(400))(normal(50, 1))
    halves = normal(400)[::2], normal(400)[1::2]
    total = np.zeros(50)
    for part in (ModelScore(), Mahalanobis()):
        half, whole = (FittedScorer.fit(network, PLAIN, part, x) for x in (halves[0], normal(400)))
        logs = np.log(half(halves[1]))
        total += (np.log(whole(normal(50, 1))) - logs.mean()) / logs.std()
    assert np.argsort(found).tolist() == np.argsort(total).tolist()


def test_a_scorer_is_fitted_on_a_limited_number_of_samples(network, monkeypatch):
    monkeypatch.setattr("hourglass.detection.scoring.MAX_FIT_SAMPLES", 50)
    assert len(fitted("neighbors", network, 199).state["codes"]) == 50


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Neighbors(0), "k is 0"),
        (lambda: RelativeError(-1.0), "blur is -1.0"),
        (lambda: Combined([ModelScore()]), "names 1"),
        (lambda: Neighbors(5).fit(np.zeros((5, 2), np.float32)), "there are only 5"),
    ],
)
def test_impossible_settings_are_refused(make, named, refusal):
    assert named in refusal(make)


def test_a_score_that_is_not_finite_is_refused(network, refusal):
    x = normal(5)
    x[3, 2] = np.nan
    assert "sample 3 is nan" in refusal(fitted("own", network), x)


def test_a_few_repeated_samples_do_not_dominate_a_combination(network):
    """A repeated sample has distance 0 to its neighbour, which has no logarithm."""
    x = normal(400)
    x[:16] = x[400 - 16 :]
    plain, repeated = (
        FittedScorer.fit(network, PLAIN, Combined([ModelScore(), Neighbors(1)]), each)
        for each in (normal(400), x)
    )
    assert repeated.state["sd"][1] < 3 * plain.state["sd"][1]
