"""Scorers: shared properties, and each against NumPy, SciPy or scikit-learn."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.neighbors import NearestNeighbors

from hourglass.core.yaml_config import build
from hourglass.data.columns.column import Column
from hourglass.data.scaling import Scaling
from hourglass.data.table_encoding import TableEncoding
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
from hourglass.detection.scorers.combined import FLOOR_FRACTION
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scoring import FittedScorer, errors, latent_codes, reconstructions
from hourglass.networks import Convolutional, Dense, Network
from tests.data.test_table_encoding import COLUMNS, mixed
from tests.studies.conftest import FeatureMaps

FEATURES = 12
UNSCALED = Scaling.none()
SCORERS: dict[str, Callable[[], Scorer]] = {
    "model score": ModelScore,
    "standardized error": StandardizedError,
    "mahalanobis": Mahalanobis,
    "neighbors": lambda: Neighbors(3),
    "neighbors of inputs": lambda: Neighbors(3, of="input"),
    "rapp": RaPP,
    "rapp, whitened": lambda: RaPP(whiten=True),
    "combined": lambda: Combined([ModelScore(), Neighbors(2), Mahalanobis()]),
}
ALL_VARIANTS = pytest.mark.parametrize("name", SCORERS)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Dense([FEATURES], 4, [8], "tanh").eval().requires_grad_(False)


def normal(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, FEATURES)).astype(np.float32)


def fitted(name: str, network: Network) -> FittedScorer:
    return FittedScorer.fit(network, UNSCALED, SCORERS[name](), normal(200))


@ALL_VARIANTS
def test_every_sample_has_a_finite_score_that_is_not_negative(name, network):
    scores = fitted(name, network)(normal(50, 1) * 30)
    assert (scores.shape, scores.dtype) == ((50,), np.float64)
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()


@ALL_VARIANTS
def test_a_score_does_not_depend_on_the_batch(name, network, monkeypatch):
    scoring, x = fitted(name, network), normal(50, 1)
    expected = scoring(x)
    monkeypatch.setattr("hourglass.detection.inference.MAX_BATCH_SAMPLES", 7)
    np.testing.assert_allclose(scoring(x), expected, rtol=1e-5, atol=1e-6)


@ALL_VARIANTS
def test_scores_and_errors_share_one_forward_pass(name, network, monkeypatch):
    scoring, x, passes = fitted(name, network), normal(50, 1), []
    expected = scoring(x), errors(network, x, UNSCALED)
    decode = network.decode_logits
    monkeypatch.setattr(network, "decode_logits", lambda z: passes.append(len(z)) or decode(z))
    np.testing.assert_array_equal(scoring.with_errors(x), expected)
    assert passes == [256]  # small batches are filled up


def test_a_score_does_not_depend_on_the_samples_of_a_small_batch(network):
    scoring, x = fitted("model score", network), normal(50, 1)
    alone = np.concatenate([scoring(row[None]) for row in x])
    np.testing.assert_array_equal(alone, scoring(x))


@ALL_VARIANTS
def test_distant_samples_score_higher(name, network):
    scoring = fitted(name, network)
    assert np.median(scoring(normal(50, 1) * 20)) > 1.2 * np.median(scoring(normal(50, 1)))


@ALL_VARIANTS
def test_a_scorer_can_be_rebuilt_from_its_description_and_from_yaml(name, network):
    scoring = fitted(name, network)
    describe = scoring.scorer.describe
    rebuilt = Scorer.from_description(describe())
    scores = FittedScorer(network, UNSCALED, rebuilt, scoring.state)(normal(9, 1))
    np.testing.assert_array_equal(scores, scoring(normal(9, 1)))
    assert build(describe(), Scorer, "params.yaml").describe() == describe()


def test_a_description_can_name_scorers_only():
    with pytest.raises(ImportError):
        Scorer.from_description({"class_path": "subprocess.Popen", "init_args": {"args": "true"}})
    with pytest.raises(TypeError):
        Scorer.from_description({"class_path": "hourglass.networks.Dense", "init_args": {}})


def squared_errors(network: Network, x: np.ndarray) -> np.ndarray:
    return (reconstructions(network, x, UNSCALED) - x) ** 2


def mahalanobis(network: Network, *samples: np.ndarray) -> np.ndarray:
    train, z = (latent_codes(network, x, UNSCALED).astype(np.float64) for x in samples)
    return LedoitWolf().fit(train).mahalanobis(z) ** 0.5


def mean_distance(network: Network, *samples: np.ndarray) -> np.ndarray:
    train, z = (latent_codes(network, x, UNSCALED) for x in samples)
    brute = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(train)
    return brute.kneighbors(z)[0].mean(1)


def mean_input_distance(network: Network, *samples: np.ndarray) -> np.ndarray:
    train, x = (rows.reshape(len(rows), -1) for rows in samples)
    brute = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(train)
    return brute.kneighbors(x)[0].mean(1)


def layer_differences(network: Network, x: np.ndarray) -> np.ndarray:
    first = network.encoder[0:3]  # type: ignore[index]
    pair = torch.from_numpy(x), torch.from_numpy(reconstructions(network, x, UNSCALED))
    layers = [torch.cat([a, first(a), network.encode(a)], 1) for a in pair]
    return (layers[0] - layers[1]).numpy()


def whitened(network: Network, *samples: np.ndarray) -> np.ndarray:
    train, differences = (layer_differences(network, x) for x in samples)
    # The 4 units of the code are linear in the 8 hidden ones, so they add no component.
    return (PCA(FEATURES + 8, whiten=True).fit(train).transform(differences) ** 2).sum(1)


REFERENCES: dict[str, Callable[[Network, np.ndarray, np.ndarray], np.ndarray]] = {
    "model score": lambda network, train, x: squared_errors(network, x).mean(1),
    "standardized error": lambda network, train, x: (
        squared_errors(network, x) / squared_errors(network, train).mean(0)
    ).mean(1),
    "mahalanobis": mahalanobis,
    "neighbors": mean_distance,
    "neighbors of inputs": mean_input_distance,
    "rapp": lambda network, train, x: (layer_differences(network, x) ** 2).sum(1),
    "rapp, whitened": whitened,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_score_agrees_with_its_reference(name, network):
    x = normal(20, 1)
    expected = REFERENCES[name](network, normal(200), x)
    np.testing.assert_allclose(fitted(name, network)(x), expected, rtol=1e-4)


def test_a_missing_category_counts_with_its_expected_loss():
    encoding = TableEncoding.fit(COLUMNS, mixed(500))
    network = Dense([encoding.width], 4, [8])
    network.add_heads(encoding.heads)
    x = mixed(20, missing=0.0)
    x[:, 1] = np.nan
    inputs = torch.from_numpy(encoding(x))
    losses = StandardizedError().extract(ForwardCache(network.eval(), inputs))[:, 1]
    logits = network.decode_logits(network.encode(inputs))[:, 1:5]  # a number comes first
    expected = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(losses, expected)


def test_missing_cells_are_the_mean_of_the_normal_inputs_for_distances():
    x, new = normal(200).astype(np.float64), normal(20, 1).astype(np.float64)
    rng = np.random.default_rng(0)
    for rows in (x, new):
        rows[rng.random(rows.shape) < 0.3] = np.nan
    encoding = TableEncoding.fit([Column(f"x{i}") for i in range(FEATURES)], x)
    network = Dense([encoding.width], 4, [8])  # half of its inputs are indicators
    network.add_heads(encoding.heads)
    scores = FittedScorer.fit(network.eval(), encoding, Neighbors(3, of="input"), x)(new)
    imputer = SimpleImputer().fit(encoding(x)[:, :FEATURES])
    train, test = (imputer.transform(encoding(rows)[:, :FEATURES]) for rows in (x, new))
    expected = NearestNeighbors(n_neighbors=3).fit(train).kneighbors(test)[0].mean(1)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_a_combination_ranks_samples_by_the_mean_standardised_log(network):
    train, x = normal(400), normal(50, 1)
    scores = FittedScorer.fit(network, UNSCALED, Combined([ModelScore(), Mahalanobis()]), train)(x)
    total = np.zeros(50)
    for part in (ModelScore(), Mahalanobis()):
        half, whole = (FittedScorer.fit(network, UNSCALED, part, n) for n in (train[::2], train))
        logs = np.log(half(train[1::2]))
        total += (np.log(whole(x)) - logs.mean()) / logs.std()
    assert np.argsort(scores).tolist() == np.argsort(total).tolist()


def test_samples_that_the_network_has_not_seen_standardise_a_combination(network):
    train, held_out, x = normal(400), normal(100, 2) * 1.3, normal(50, 1)
    scorer = Combined([ModelScore(), Mahalanobis()])
    scores = FittedScorer.fit(network, UNSCALED, scorer, train, held_out)(x)
    total = np.zeros(50)
    for part in (ModelScore(), Mahalanobis()):
        fitted_part = FittedScorer.fit(network, UNSCALED, part, train)
        usual = fitted_part(held_out)
        floor = FLOOR_FRACTION * np.median(usual)
        logs = np.log(usual + floor)
        total += (np.log(fitted_part(x) + floor) - logs.mean()) / logs.std()
    assert np.argsort(scores).tolist() == np.argsort(total).tolist()


@ALL_VARIANTS
def test_held_out_samples_pass_through_the_network_only_if_they_change_the_fit(name, network):
    train, held_out, scorer = normal(400), normal(100, 2) * 1.3, SCORERS[name]()
    rows = []
    hook = network.encoder.register_forward_hook(lambda *args: rows.append(len(args[2])))
    alone, both = (
        FittedScorer.fit(network, UNSCALED, scorer, train, other).state
        for other in (None, held_out)
    )
    hook.remove()
    changed = any(not np.array_equal(alone[key], both[key]) for key in both)
    assert (sum(rows) % len(train) > 0) == (name == "combined") == changed


def test_a_few_repeated_samples_do_not_dominate_a_combination(network):
    """A repeated sample has distance 0 to its neighbour, which has no logarithm."""
    repeated = normal(400)
    repeated[:16] = repeated[-16:]
    scorer = Combined([ModelScore(), Neighbors(1)])
    usual, sd = (
        FittedScorer.fit(network, UNSCALED, scorer, x).state["sd"][1]
        for x in (normal(400), repeated)
    )
    assert sd < 3 * usual


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("blur", [0.0, 0.7, 1.0])
def test_the_relative_error_agrees_with_scipys_blur(blur, standardize):
    torch.manual_seed(0)
    network = Convolutional([1, 9, 7], 3, [4]).eval().requires_grad_(False)
    train, x = (np.random.default_rng(n).random((n, 1, 9, 7), np.float32) for n in (60, 20))

    def blurred_errors(images: np.ndarray) -> np.ndarray:
        differences = reconstructions(network, images, UNSCALED) - images
        radius = int(np.ceil(3 * blur))
        if blur:
            differences = gaussian_filter(
                differences, blur, mode="constant", radius=radius, axes=(2, 3)
            )
        return (differences**2).reshape(len(images), -1)

    usual = blurred_errors(train).mean(0)
    weights = 1 / (usual + 0.1 * usual.mean()) if standardize else 1
    energy, usual_energy = (np.square(images).sum((1, 2, 3)) for images in (x, train))
    expected = (blurred_errors(x) * weights).sum(1) / (energy + 0.05 * usual_energy.mean())
    scorer = RelativeError(blur, standardize)
    scores = FittedScorer.fit(network, UNSCALED, scorer, train)(x)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_a_scorer_is_fitted_on_a_limited_number_of_samples(network, monkeypatch):
    monkeypatch.setattr("hourglass.detection.scoring.MAX_FIT_SAMPLES", 50)
    assert len(fitted("neighbors", network).state["codes"]) == 50


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Neighbors(0), "k is 0"),
        (lambda: RelativeError(-1.0), "blur is -1.0"),
        (lambda: Combined([ModelScore()]), "names 1"),
        (lambda: Neighbors(5).fit(np.zeros((5, 2), np.float32)), "must be below 5"),
    ],
)
def test_impossible_settings_are_refused(make, named, refusal):
    assert named in refusal(make)


def test_samples_without_a_score_are_refused(network, refusal):
    x = normal(5)
    x[3, 2] = np.nan
    assert "sample 3 is nan" in refusal(fitted("model score", network), x)
    assert "blurs images" in refusal(FittedScorer.fit, network, UNSCALED, RelativeError(), x)


class Flat(Network):
    """The network of `FeatureMaps` with flat codes."""

    def __init__(self, maps: FeatureMaps) -> None:
        super().__init__(sample_shape=maps.sample_shape, latent_dim=8)
        self.encoder = torch.nn.Sequential(maps.encoder, torch.nn.Flatten())
        self.decoder = torch.nn.Sequential(torch.nn.Unflatten(1, (2, 2, 2)), maps.decoder)


@ALL_VARIANTS
def test_feature_maps_are_scored_as_their_flat_codes(name):
    maps = FeatureMaps()
    x = np.random.default_rng(0).random((60, 1, 4, 4), np.float32)
    scores = [
        FittedScorer.fit(network.eval(), UNSCALED, SCORERS[name](), x[:40])(x[40:])
        for network in (maps, Flat(maps))
    ]
    np.testing.assert_allclose(*scores, rtol=1e-6)


class Rounding(FeatureMaps):
    """A network that rounds its codes before decoding, as a VQ-VAE does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(x).round())


def test_the_error_is_that_of_the_network_s_own_forward_pass():
    network, x = Rounding().eval(), np.random.default_rng(0).random((9, 1, 4, 4), np.float32)
    with torch.no_grad():
        expected = network.score(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(errors(network, x, UNSCALED), expected, rtol=1e-6)
