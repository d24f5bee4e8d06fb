"""ONNX files give what the detector gives, for every variant and every score."""

import json
import sys

import numpy as np
import pytest
import torch

from hourglass.detection.detector import Detector
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
from hourglass.networks import Convolutional, Dense
from hourglass.networks.variational import Variational
from hourglass.serving.traceable import Traced
from tests.serving.detectors import detector, normal

onnx_file = pytest.importorskip("hourglass.serving.onnx_export")
pytest.importorskip("onnxscript", reason="the extra `onnx` is not installed")

TABLE, IMAGE = (5,), (1, 8, 7)
SCORERS: dict[str, Scorer] = {
    "own": ModelScore(),
    "standardized": StandardizedError(),
    "mahalanobis": Mahalanobis(),
    "neighbors": Neighbors(3),
    "rapp": RaPP(),
    "whitened": RaPP(whiten=True),
    "combined": Combined([ModelScore(), Neighbors(3)]),
}
IMAGE_SCORERS: dict[str, Scorer] = {
    "relative": RelativeError(),
    "relative, standardized": RelativeError(0, standardize=True),
}


def assert_same(found: dict[str, np.ndarray], expected: Detector, x: np.ndarray) -> None:
    """Compare scores to within 1e-5, relative to those above 1, and alarms off the threshold."""
    scores = expected.scoring(x)
    np.testing.assert_array_less(
        np.abs(found["score"] - scores), 1e-5 * np.maximum(1, np.abs(scores))
    )
    off = np.abs(scores / expected.threshold.value - 1) > 1e-5
    np.testing.assert_array_equal(found["alarm"][off], expected.threshold(scores)[off])
    assert off.mean() > 0.9


def written(made: Detector, folder) -> tuple[str, dict[str, np.ndarray], np.ndarray]:
    """Write a file, run it on samples of which some are alarms, and return its bytes as well."""
    path = folder / "model.onnx"
    path.write_bytes(onnx_file.model(made, {"cell": "a-b"}).SerializeToString(deterministic=True))
    x = normal(made.sample_shape, 200, 5)
    x[:5] //= 4
    name, run = onnx_file.runtime(path)
    assert name == "onnxruntime"
    one = run(x[:1])  # as many as there are
    found = run(x)
    np.testing.assert_allclose(one["score"], found["score"][:1], rtol=1e-5)
    return path.read_bytes().decode("latin-1"), found, x


def all_cases() -> list:
    tables = [("dense", TABLE, name) for name in SCORERS]
    images = [("convolutional", IMAGE, name) for name in IMAGE_SCORERS]
    return tables + images


NETWORKS = {"dense": Dense, "convolutional": Convolutional}


@pytest.mark.parametrize(("network", "shape", "scorer"), all_cases())
def test_a_traced_detector_is_the_detector(network, shape, scorer):
    torch.manual_seed(0)
    made = detector(NETWORKS[network](shape, 2), {**SCORERS, **IMAGE_SCORERS}[scorer])
    x = normal(shape, 200, 5)
    with torch.inference_mode():
        score, alarm, restored = Traced(made)(torch.from_numpy(x))
    assert_same({"score": score.numpy(), "alarm": alarm.numpy()}, made, x)
    assert restored.shape == x.shape


@pytest.mark.slow
def test_a_file_gives_what_the_detector_gives(tmp_path):
    torch.manual_seed(0)
    made = detector(Dense(TABLE, 2, [4], tied=True))
    text, found, x = written(made, tmp_path)
    assert_same(found, made, x)
    assert found["alarm"].any()
    scaling = made.scoring.scaling
    with torch.inference_mode():
        restored = made.scoring.network(torch.from_numpy(scaling(x))).numpy()
    np.testing.assert_allclose(found["reconstruction"], scaling.inverse(restored), rtol=1e-4)
    assert "/hourglass/" not in text  # no path of ours


@pytest.mark.slow
@pytest.mark.parametrize("shape", [TABLE, IMAGE], ids=["table", "images"])
def test_every_variant_has_a_file(build, variant, shape, tmp_path):
    if variant.startswith("bolts") and shape == TABLE:
        pytest.skip("bolts' models take images only")
    made = detector(build(variant, shape).network)
    _, found, x = written(made, tmp_path)
    assert_same(found, made, x)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "shape", "scorer"), all_cases())
def test_every_score_has_a_file(network, shape, scorer, tmp_path):
    torch.manual_seed(0)
    made = detector(NETWORKS[network](shape, 2), {**SCORERS, **IMAGE_SCORERS}[scorer])
    _, found, x = written(made, tmp_path)
    assert_same(found, made, x)


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("score_by", ["elbo", "likelihood"])
def test_likelihoods_have_a_file(score_by, likelihood, tmp_path):
    torch.manual_seed(0)
    network = Variational(IMAGE, 2, hidden=[8], likelihood=likelihood, score_by=score_by)
    made = detector(network)
    _, found, x = written(made, tmp_path)
    assert_same(found, made, x)


@pytest.mark.slow
def test_the_same_detector_gives_the_same_bytes(tmp_path):
    torch.manual_seed(0)
    made = detector(Dense(TABLE, 2))
    assert written(made, tmp_path)[0] == written(made, tmp_path)[0]


class Unknown(Scorer):
    """Stand for a score that somebody wrote."""

    name = "unknown"

    def extract(self, view):
        return view.error[:, None]

    def score_function(self, state):
        return lambda seen: seen[:, 0].astype(np.float64)


def test_a_score_that_cannot_be_traced_is_refused(refusal):
    assert "'unknown'" in refusal(Traced, detector(Dense(TABLE, 2), Unknown()))


def test_a_file_that_gives_other_scores_is_refused(tmp_path, refusal, monkeypatch):
    made = detector(Dense(TABLE, 2))
    x = normal(TABLE, 10)
    scores = made.scoring(x)

    def run(by: float):
        found = {"score": scores + by, "alarm": made.threshold(scores)}
        monkeypatch.setattr(onnx_file, "runtime", lambda path: ("a runtime", lambda x: found))
        return onnx_file.check(tmp_path, made, x)

    assert run(0.0) == "a runtime"
    assert "a runtime gives scores that differ" in refusal(run, 1e-3)
    assert "differ" in refusal(run, float("nan"))


def test_a_missing_extra_is_named(refusal, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert "hourglass[onnx]" in refusal(onnx_file.model, detector(Dense(TABLE, 2)), {})


def test_names_and_threshold_are_in_the_file(tmp_path):
    pytest.importorskip("onnx")
    import onnx

    about = {"feature_names": json.dumps(["a", "b"])}
    proto = onnx_file._described(onnx.ModelProto(), about)
    assert {each.key: each.value for each in proto.metadata_props} == about
