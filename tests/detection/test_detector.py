"""The detector: attribution of anomalies to features, and its files."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from hourglass.core.checksums import file_checksums, read_with_checksum, write_with_checksum
from hourglass.detection.attribution import top_features
from hourglass.detection.detector import FILES, Detector
from hourglass.detection.scorers import Combined, Mahalanobis, ModelScore, Neighbors, Scorer
from hourglass.networks import Dense
from hourglass.networks.weights import FILES as NETWORK_FILES
from hourglass.networks.weights import write
from tests.detection.detectors import detector

FEATURES, NOISY = 8, 7


def table(n: int, seed: int) -> np.ndarray:
    """Return rows near a plane, with one feature of pure noise."""
    angles = 2 * np.pi * np.arange(FEATURES) / NOISY
    mixing = np.stack([np.cos(angles), np.sin(angles)])  # no single feature determines the code
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)) @ mixing + 0.1 * rng.normal(size=(n, FEATURES))
    x[:, NOISY] = 2 * rng.normal(size=n)
    return x


@pytest.fixture(scope="module")
def network() -> Dense:
    """Give PCA as a network, which reconstructs all features but the noisy one."""
    train = table(2000, 1)
    train[:, NOISY] = 0
    basis = torch.from_numpy(PCA(2).fit(train).components_.astype(np.float32))
    network = Dense([FEATURES], 2).requires_grad_(False)
    layers = network.encoder[1], network.decoder[0]  # type: ignore[index]
    for layer, weight in zip(layers, (basis, basis.T), strict=True):
        layer.weight.copy_(weight)
        layer.bias.zero_()
    return network


def calibrated(network: Dense, scorer: Scorer | None = None) -> Detector:
    return detector(network, scorer, lambda shape, n, seed: table(n, seed), "none")


@pytest.fixture
def saved(network, tmp_path) -> Path:
    """Give the folder of a detector's files."""
    return save(calibrated(network), tmp_path)


def save(unsaved: Detector, folder: Path) -> Path:
    write(unsaved.scoring.network, folder)
    replace(unsaved, network_checksums=file_checksums(folder, NETWORK_FILES)).write(folder)
    assert {path.name for path in folder.iterdir()} == set(FILES)
    return folder


@pytest.mark.parametrize("feature", range(FEATURES - 1))
def test_an_anomaly_is_attributed_to_its_feature(network, feature):
    x = table(200, 4)
    x[:, feature] += 3
    indices, _ = top_features(calibrated(network).contributions(x), 1)
    assert (indices[:, 0] == feature).mean() > 0.9


def test_the_plain_error_would_blame_the_noisy_feature(network):
    x = torch.from_numpy(table(200, 4)).float()
    x[:, 0] += 3
    assert ((network(x) - x).square().argmax(1) == NOISY).float().mean() > 0.1


@pytest.mark.parametrize(("value", "passes"), [(0.0, 1), (30.0, 2)])
def test_contributions_and_outputs_share_the_passes_of_a_batch(value, passes, network):
    x = table(20, 4).clip(-3, 3)
    x[3, 0] = value
    calls, fitted = [], calibrated(network)
    hook = network.decoder.register_forward_hook(lambda *_: calls.append(1))
    fitted.score_with_outputs(x)
    hook.remove()
    assert len(calls) == passes


def test_contributions_of_calibration_samples_are_standardised(network):
    contributions = calibrated(network).contributions(table(200, 2))
    np.testing.assert_allclose(contributions.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(contributions[:, NOISY].std(), 1, rtol=1e-3)


def test_the_top_features_are_in_descending_order_and_at_most_all():
    values = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    indices, top = top_features(values, 3)
    np.testing.assert_array_equal(top, -np.sort(-values, axis=1)[:, :3])
    np.testing.assert_array_equal(np.take_along_axis(values, indices, 1), top)
    assert top_features(np.zeros((4, 2), np.float32), 3)[0].shape == (4, 2)


@pytest.mark.parametrize(
    "scorer", [ModelScore(), Combined([Neighbors(3), Mahalanobis()])], ids=["one", "combined"]
)
def test_a_detector_survives_a_round_trip_through_its_files(network, scorer, tmp_path):
    original, x = calibrated(network, scorer), table(30, 5)
    loaded = Detector.load(save(original, tmp_path))
    scores, contributions = loaded.score_with_contributions(x)
    np.testing.assert_allclose(scores, original.scoring(x), rtol=1e-6)
    np.testing.assert_allclose(contributions, original.contributions(x), rtol=1e-6)
    np.testing.assert_array_equal(loaded.calibration_scores, original.calibration_scores)
    assert loaded.threshold == original.threshold


def test_a_calibration_of_other_weights_is_refused(network, saved, refusal):
    other = deepcopy(network)
    for parameter in other.parameters():
        parameter.mul_(2)
    write(other, saved)
    assert "trained again" in refusal(Detector.load, saved)


@pytest.mark.parametrize("file", ["detector.json", "reference.safetensors", "threshold.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_missing_or_empty_file_is_refused(saved, file, content, refusal):
    (saved / file).unlink()
    if content is not None:
        (saved / file).write_bytes(content)
    assert "calibrate it again" in refusal(Detector.load, saved)


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_is_refused(saved, file, refusal):
    intact = (saved / file).read_bytes()
    for place in range(0, len(intact), 1 + len(intact) // 20):
        flipped = bytearray(intact)
        flipped[place] ^= 1 << place % 8
        (saved / file).write_bytes(flipped)
        refusal(Detector.load, saved)
    (saved / file).write_bytes(intact)
    Detector.load(saved)


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
        ("scaling", {"kind": "table", "columns": []}),
        ("score", {"class_path": "os.system", "init_args": {}}),
    ],
)
def test_inconsistent_metadata_is_refused_despite_its_checksum(saved, name, value, refusal):
    path = saved / "detector.json"
    write_with_checksum(path, read_with_checksum(path) | {name: value})
    assert "holds no usable detector" in refusal(Detector.load, saved)
