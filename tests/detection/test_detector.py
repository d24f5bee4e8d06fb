"""The detector: attribution of anomalies to features, and its files."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from hourglass.core.checksums import file_checksums, read_with_checksum, write_with_checksum
from hourglass.data.scaling import Scaling
from hourglass.detection.attribution import Profile, top_features
from hourglass.detection.calibrators import Conformal
from hourglass.detection.detector import FILES, Detector
from hourglass.detection.scorers import Combined, Mahalanobis, ModelScore, Neighbors, Scorer
from hourglass.detection.scoring import FittedScorer
from hourglass.networks import Dense
from hourglass.networks.weights import FILES as NETWORK_FILES
from hourglass.networks.weights import write

FEATURES, NOISY = 8, 7


def table(n: int, seed: int) -> np.ndarray:
    """Return rows near a plane, with one feature of pure noise."""
    angles = 2 * np.pi * np.arange(FEATURES) / NOISY
    mixing = np.stack([np.cos(angles), np.sin(angles)])  # no single feature determines the code
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)) @ mixing + 0.1 * rng.normal(size=(n, FEATURES))
    x[:, NOISY] = 2 * rng.normal(size=n)
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def network() -> Dense:
    """Give PCA as a network, which reconstructs all features but the noisy one."""
    train = table(2000, 1)
    train[:, NOISY] = 0
    pca = PCA(2).fit(train)
    network = Dense([FEATURES], 2).eval().requires_grad_(False)
    basis = torch.from_numpy(pca.components_.astype(np.float32))
    network.encoder[1].weight.copy_(basis)  # type: ignore[index]
    network.decoder[0].weight.copy_(basis.T)  # type: ignore[index]
    for layer in (network.encoder[1], network.decoder[0]):  # type: ignore[index]
        layer.bias.zero_()
    return network


def detector(network: Dense, scorer: Scorer | None = None) -> Detector:
    scaling = Scaling.fit("none", np.zeros((1, FEATURES), np.float32))
    scoring = FittedScorer.fit(network, scaling, scorer or ModelScore(), table(500, 2))
    normal = table(500, 3)
    scores = scoring(normal)
    inputs = {
        "data": "plane",
        "sample_shape": [FEATURES],
        "dtype": "float32",
        "feature_names": [f"f{i}" for i in range(FEATURES)],
        "scaling": scaling.to_dict(),
    }
    profile = Profile.fit(network, scaling, normal)
    return Detector(inputs, scoring, profile, scores, Conformal(0.05)(scores), {})


def saved(one: Detector, folder: Path) -> Path:
    write(one.scoring.network, folder)
    replace(one, network_checksums=file_checksums(folder, NETWORK_FILES)).write(folder)
    assert {path.name for path in folder.iterdir()} == set(FILES)
    return folder


@pytest.mark.parametrize("feature", range(FEATURES - 1))
def test_an_anomaly_is_attributed_to_its_feature(network, feature):
    x = table(200, 4)
    x[:, feature] += 3
    indices, _ = top_features(detector(network).contributions(x), 1)
    assert (indices[:, 0] == feature).mean() > 0.9


def test_the_plain_error_would_blame_the_noisy_feature(network):
    x = table(200, 4)
    x[:, 0] += 3
    errors = (network(torch.from_numpy(x)) - torch.from_numpy(x)).square()
    assert (errors.argmax(1) == NOISY).float().mean() > 0.1


def test_contributions_of_normal_samples_are_standardised(network):
    contributions = detector(network).contributions(table(500, 3))
    np.testing.assert_allclose(contributions.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(contributions[:, NOISY].std(), 1, rtol=1e-3)


def test_the_top_features_are_in_descending_order_and_at_most_all():
    values = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    indices, top = top_features(values, 3)
    np.testing.assert_array_equal(top, -np.sort(-values, axis=1)[:, :3])
    np.testing.assert_array_equal(np.take_along_axis(values, indices, 1), top)
    assert top_features(np.zeros((4, 2), np.float32), 3)[0].shape == (4, 2)


def test_scores_and_contributions_share_a_pass_with_the_same_results(network):
    one, x = detector(network), table(30, 5)
    scores, contributions = one.score_with_contributions(x)
    np.testing.assert_array_equal(scores, one.scoring(x))
    np.testing.assert_array_equal(contributions, one.contributions(x))


@pytest.mark.parametrize(
    "scorer", [ModelScore(), Combined([Neighbors(3), Mahalanobis()])], ids=lambda each: each.name
)
def test_a_detector_survives_a_round_trip_through_its_files(network, scorer, tmp_path):
    one, x = detector(network, scorer), table(30, 5)
    again = Detector.load(saved(one, tmp_path))
    pairs = zip(one.score_with_contributions(x), again.score_with_contributions(x), strict=True)
    for expected, loaded in pairs:
        np.testing.assert_allclose(loaded, expected, rtol=1e-6)
    np.testing.assert_array_equal(again.calibration_scores, one.calibration_scores)
    assert again.threshold == one.threshold


def test_a_calibration_of_other_weights_is_refused(network, tmp_path, refusal):
    folder, other = saved(detector(network), tmp_path), deepcopy(network)
    for parameter in other.parameters():
        parameter.mul_(2)
    write(other, folder)
    assert "trained again" in refusal(Detector.load, folder)


@pytest.mark.parametrize("file", ["detector.json", "reference.safetensors", "threshold.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_missing_or_empty_file_is_refused(network, tmp_path, file, content, refusal):
    folder = saved(detector(network), tmp_path)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    assert "calibrate it again" in refusal(Detector.load, folder)


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_is_refused(network, tmp_path, file, refusal):
    path = saved(detector(network), tmp_path) / file
    intact = path.read_bytes()
    for place in range(0, len(intact), 1 + len(intact) // 20):
        flipped = bytearray(intact)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        refusal(Detector.load, tmp_path)
    path.write_bytes(intact)
    Detector.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_shape", [FEATURES + 1]),
        ("feature_names", ["a"]),
        ("feature_names", [1] * FEATURES),
        ("dtype", "object"),
        ("data", None),
        ("scaling", {"kind": "none", "offset": [0.0] * 2, "scale": [1.0] * 2}),
        ("scaling", {"kind": "none", "offset": 0.0, "scale": 0.0}),
        ("score", {"class_path": "os.system", "init_args": {}}),
    ],
)
def test_inconsistent_metadata_is_refused_despite_its_checksum(
    network, tmp_path, name, value, refusal
):
    path = saved(detector(network), tmp_path) / "detector.json"
    write_with_checksum(path, read_with_checksum(path) | {name: value})
    assert "holds no usable detector" in refusal(Detector.load, tmp_path)
