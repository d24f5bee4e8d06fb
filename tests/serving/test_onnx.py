"""Exported ONNX files: equal to the detector for every variant and every score."""

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


def exported(made: Detector, folder) -> tuple[str, dict[str, np.ndarray], np.ndarray]:
    """Export a detector; return the file's text, its outputs on some samples, and the samples."""
    path = folder / "model.onnx"
    path.write_bytes(onnx_file.to_onnx(made, {"cell": "a-b"}).SerializeToString(deterministic=True))
    x = normal(made.sample_shape, 200, 5)
    x[:5] //= 4
    name, run = onnx_file.load_runtime(path)
    assert name == "onnxruntime"
    single, outputs = run(x[:1]), run(x)  # the batch size is free
    np.testing.assert_allclose(single["score"], outputs["score"][:1], rtol=1e-5)
    return path.read_bytes().decode("latin-1"), outputs, x


@pytest.fixture(params=[*SCORERS, *IMAGE_SCORERS])
def scored(request) -> Detector:
    """Give a detector with each scorer."""
    torch.manual_seed(0)
    if request.param in SCORERS:
        return detector(Dense(TABLE, 2), SCORERS[request.param])
    return detector(Convolutional(IMAGE, 2), IMAGE_SCORERS[request.param])


def test_a_traced_detector_equals_the_detector(scored):
    x = normal(scored.sample_shape, 200, 5)
    with torch.inference_mode():
        score, alarm, reconstruction = onnx_file.Traced(scored)(torch.from_numpy(x))
    assert_same({"score": score.numpy(), "alarm": alarm.numpy()}, scored, x)
    assert reconstruction.shape == x.shape


@pytest.mark.slow
def test_a_file_has_the_outputs_of_the_detector(tmp_path):
    torch.manual_seed(0)
    made = detector(Dense(TABLE, 2, [4], tied=True))
    text, found, x = exported(made, tmp_path)
    assert_same(found, made, x)
    assert found["alarm"].any()
    scaling = made.scoring.scaling
    with torch.inference_mode():
        restored = made.scoring.network(torch.from_numpy(scaling(x))).numpy()
    np.testing.assert_allclose(found["reconstruction"], scaling.inverse(restored), rtol=1e-4)
    assert "/hourglass/" not in text  # no path of a source file


@pytest.mark.slow
@pytest.mark.parametrize("shape", [TABLE, IMAGE], ids=["table", "images"])
def test_every_variant_can_be_exported(build, variant, shape, tmp_path):
    if variant.startswith("bolts") and shape == TABLE:
        pytest.skip("bolts' models take images only")
    made = detector(build(variant, shape).network)
    _, found, x = exported(made, tmp_path)
    assert_same(found, made, x)


@pytest.mark.slow
def test_every_scorer_can_be_exported(scored, tmp_path):
    _, found, x = exported(scored, tmp_path)
    assert_same(found, scored, x)


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("score_by", ["elbo", "likelihood"])
def test_every_likelihood_can_be_exported(score_by, likelihood, tmp_path):
    torch.manual_seed(0)
    network = Variational(IMAGE, 2, hidden=[8], likelihood=likelihood, score_by=score_by)
    made = detector(network)
    _, found, x = exported(made, tmp_path)
    assert_same(found, made, x)


@pytest.mark.slow
def test_the_same_detector_gives_the_same_bytes(tmp_path):
    torch.manual_seed(0)
    made = detector(Dense(TABLE, 2))
    assert exported(made, tmp_path)[0] == exported(made, tmp_path)[0]


class NumPyOnly(Scorer):
    """A user's scorer with methods that tensors lack."""

    name = "numpy_only"

    def extract(self, forward):
        return forward.error[:, None]

    def score_function(self, state):
        return lambda features: features[:, 0].astype(np.float64)


def test_a_scorer_that_cannot_be_traced_is_refused(refusal):
    assert "'numpy_only'" in refusal(onnx_file.to_onnx, detector(Dense(TABLE, 2), NumPyOnly()), {})


def test_a_file_with_other_scores_is_refused(tmp_path, refusal, monkeypatch):
    made = detector(Dense(TABLE, 2))
    x = normal(TABLE, 10)
    scores = made.scoring(x)

    def run(by: float):
        found = {"score": scores + by, "alarm": made.threshold(scores)}
        monkeypatch.setattr(onnx_file, "load_runtime", lambda path: ("a runtime", lambda x: found))
        return onnx_file.verify(tmp_path, made, x)

    assert run(0.0) == "a runtime"
    assert "a runtime gives scores that differ" in refusal(run, 1e-3)
    assert "differ" in refusal(run, float("nan"))


def test_a_missing_extra_is_named(refusal, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert "hourglass[onnx]" in refusal(onnx_file.to_onnx, detector(Dense(TABLE, 2)), {})


def test_names_and_threshold_are_in_the_file(tmp_path):
    pytest.importorskip("onnx")
    import onnx

    about = {"feature_names": json.dumps(["a", "b"])}
    proto = onnx_file._with_metadata(onnx.ModelProto(), about)
    assert {each.key: each.value for each in proto.metadata_props} == about
