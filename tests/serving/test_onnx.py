"""Exported ONNX files: equal to the detector for every variant and every score."""

import json
import re
import sys
from pathlib import Path
from typing import get_args
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.detection.detector import Detector
from hourglass.detection.scorers import (
    AnomalyMap,
    Combined,
    EnsembleScore,
    Mahalanobis,
    MaskedReconstruction,
    ModelScore,
    Neighbors,
    RaPP,
    RelativeError,
    Scorer,
    StandardizedError,
)
from hourglass.networks import Convolutional, Dense
from hourglass.networks.ensemble import Ensemble
from hourglass.networks.sparse import SparseDictionary, Sparsity
from hourglass.networks.variational import Variational
from tests.conftest import ROOT
from tests.detection.detectors import detector, normal
from tests.mixed_tables import detector_of_codes, mixed_columns, mixed_detector, mixed_frame
from tests.studies.conftest import FeatureMaps

onnx_file = pytest.importorskip("hourglass.serving.onnx_export")
pytest.importorskip("onnxscript", reason="the extra `onnx` is not installed")

TABLE, IMAGE, MAPS = (5,), (1, 8, 7), (1, 4, 4)
SCORERS: dict[str, tuple[tuple[int, ...], Scorer]] = {
    "model score": (TABLE, ModelScore()),
    "standardized error": (TABLE, StandardizedError()),
    "masked reconstruction": (TABLE, MaskedReconstruction()),
    "masked reconstruction of images": (IMAGE, MaskedReconstruction(3)),
    "mean of the map of hidden patches": (IMAGE, AnomalyMap("mean", of="masked", patch=5)),
    "mean of members": (TABLE, EnsembleScore("mean")),
    "standardized scores of members": (TABLE, EnsembleScore("standardized")),
    "ranks of members": (TABLE, EnsembleScore("rank")),
    "mahalanobis": (TABLE, Mahalanobis()),
    "neighbors": (TABLE, Neighbors(3)),
    "neighbors of inputs": (TABLE, Neighbors(3, of="input")),
    "rapp": (TABLE, RaPP()),
    "rapp, whitened": (TABLE, RaPP(whiten=True)),
    "combined": (TABLE, Combined([ModelScore(), Neighbors(3)])),
    "mahalanobis of feature maps": (MAPS, Mahalanobis()),
    "neighbors of feature maps": (MAPS, Neighbors(3)),
    "rapp of feature maps": (MAPS, RaPP(whiten=True)),
    "highest pixel of the map": (IMAGE, AnomalyMap(smoothing=0.8)),
    "mean of the map": (IMAGE, AnomalyMap("mean", smoothing=0)),
    "mean of the highest pixels": (IMAGE, AnomalyMap("top", 0.1)),
    "structural dissimilarity": (IMAGE, AnomalyMap("mean", of="ssim")),
    "relative error": (IMAGE, RelativeError()),
    "relative error, standardized": (IMAGE, RelativeError(0, standardize=True)),
}


def assert_same(outputs: dict[str, np.ndarray], expected: Detector, x: np.ndarray) -> None:
    """Compare scores to within 1e-5, relative to those above 1, and alarms off the threshold."""
    scores = expected.scoring(x)
    difference = np.abs(outputs["score"] - scores) / np.maximum(1, np.abs(scores))
    assert difference.max() < 1e-5
    off = np.abs(scores / expected.threshold.value - 1) > 1e-5
    np.testing.assert_array_equal(outputs["alarm"][off], expected.threshold(scores)[off])
    assert off.mean() > 0.9
    scaling = expected.scoring.scaling
    with torch.inference_mode():
        output = expected.scoring.network(torch.from_numpy(scaling(x))).numpy()
    restored = scaling.inverse(output)
    tolerance = 1e-4 * np.nanmax(np.abs(restored))
    np.testing.assert_allclose(outputs["reconstruction"], restored, rtol=1e-4, atol=tolerance)


def assert_exported(exported: Detector, folder: Path, x: np.ndarray | None = None) -> bytes:
    """Export a detector, compare the file's outputs for samples `x`, and return the file."""
    path = folder / "model.onnx"
    proto = onnx_file.to_onnx(exported, {"cell": "a-b"})
    path.write_bytes(proto.SerializeToString(deterministic=True))
    if x is None:
        x = normal(exported.sample_shape, 200, 5)
        x[:5] //= 4
    name, run = onnx_file.load_runtime(path)
    assert name == "onnxruntime"
    single, outputs = run(x[:1]), run(x)  # the batch size is free
    np.testing.assert_allclose(single["score"], outputs["score"][:1], rtol=1e-5)
    assert_same(outputs, exported, x)
    return path.read_bytes()


@pytest.fixture(params=SCORERS)
def scored(request) -> Detector:
    """Give a detector with each scorer."""
    torch.manual_seed(0)
    shape, scorer = SCORERS[request.param]
    if isinstance(scorer, EnsembleScore):
        return detector(Ensemble(TABLE, 6, 3), scorer)
    networks = {TABLE: lambda: Dense(TABLE, 2), IMAGE: lambda: Convolutional(IMAGE, 2)}
    return detector(networks.get(shape, FeatureMaps)(), scorer)


def test_a_traced_detector_equals_the_detector(scored):
    x = normal(scored.sample_shape, 200, 5)
    with torch.inference_mode():
        outputs = onnx_file.Traced(scored)(torch.from_numpy(x))
    names = ("score", "alarm", "reconstruction")
    assert_same({name: y.numpy() for name, y in zip(names, outputs, strict=True)}, scored, x)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [TABLE, IMAGE], ids=["table", "images"])
def test_every_variant_can_be_exported(build, variant, shape, tmp_path):
    if variant.startswith("bolts") and shape == TABLE:
        pytest.skip("bolts' models take images only")
    assert_exported(detector(build(variant, shape).network), tmp_path)


@pytest.mark.slow
def test_every_scorer_can_be_exported(scored, tmp_path):
    assert_exported(scored, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("score_by", ["elbo", "likelihood"])
def test_every_likelihood_can_be_exported(score_by, likelihood, tmp_path):
    """Log-likelihoods of 784 pixels overflow if their exponentials are added."""
    torch.manual_seed(0)
    network = Variational((1, 28, 28), 2, hidden=[8], likelihood=likelihood, score_by=score_by)
    assert_exported(detector(network), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("sparsity", get_args(Sparsity))
def test_every_sparse_dictionary_can_be_exported(sparsity, tmp_path):
    torch.manual_seed(0)
    network = SparseDictionary((1, 16, 16), 1024, sparsity, 3).requires_grad_(False)
    if sparsity not in ("l1", "topk"):
        network.threshold.fill_(0.2)
    assert_exported(detector(network), tmp_path)


@pytest.mark.slow
def test_the_same_detector_gives_the_same_bytes_without_paths_of_source_files(tmp_path):
    torch.manual_seed(0)
    exported = detector(Dense(TABLE, 2, [4], tied=True))
    first, second = (assert_exported(exported, tmp_path) for _ in range(2))
    assert first == second
    assert b"/hourglass/" not in first


MIXED: dict[str, Scorer] = {
    "model score": ModelScore(),
    "combined": Combined([RaPP(), Neighbors(3)]),
    "masked reconstruction": MaskedReconstruction(),
}


@pytest.mark.slow
@pytest.mark.parametrize("scorer", MIXED)
def test_a_mixed_table_with_missing_and_extreme_cells_is_exported(scorer, tmp_path):
    exported = mixed_detector(MIXED[scorer])
    x = codes(mixed_frame(200, 5), mixed_columns())
    x[0, 0], x[1, 0], x[2, 1], x[3, 0] = np.inf, -1e300, 4, np.nan  # 4 is a new category
    assert_exported(exported, tmp_path, x)


ENCODINGS = ("standard", "robust", "minmax", "quantile", "log", "none")


@pytest.mark.slow
def test_every_scaling_is_exported_in_double_precision(tmp_path):
    rng = np.random.default_rng(0)
    x = 1_760_000_000 + rng.normal(0, 10, (300, len(ENCODINGS)))
    columns = [Column(name, scaling=name) for name in ENCODINGS]
    columns[-1] = Column("when", "datetime", parts=("hour", "weekday", "month", "trend"))
    assert_exported(detector_of_codes(columns, x[:200], x[200:]), tmp_path, x[:50])


def test_the_encoding_in_the_docs_gives_the_codes_of_a_table(tmp_path, monkeypatch):
    text = (ROOT / "docs/how-to/serving.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(import json.*?)```", text, re.DOTALL)
    frame = mixed_frame(50, 5)
    frame.loc[:2, "service"] = ["tftp", None, "dns"]
    frame.to_parquet(tmp_path / "new.parquet")
    metadata = {"columns": json.dumps([column.to_dict() for column in mixed_columns()])}
    session, inputs = Mock(), []
    session.get_modelmeta.return_value = Mock(custom_metadata_map=metadata)
    session.run.side_effect = lambda names, feed: inputs.append(feed["x"]) or [None] * 3
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda path: session)
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    np.testing.assert_array_equal(inputs[0], codes(frame, mixed_columns()))


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
    correct = detector(Dense(TABLE, 2))
    x = normal(TABLE, 10)
    scores = correct.scoring(x)

    def verify(error: float) -> str:
        outputs = {"score": scores + error, "alarm": correct.threshold(scores)}
        runtime = ("a runtime", lambda x: outputs)
        monkeypatch.setattr(onnx_file, "load_runtime", lambda path: runtime)
        return onnx_file.verify(tmp_path, correct, x)

    assert verify(0.0) == "a runtime"
    for error in (1e-3, float("nan")):
        assert "a runtime gives scores that differ" in refusal(verify, error)


def test_a_missing_extra_is_named(refusal, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert "hourglass[onnx]" in refusal(onnx_file.to_onnx, detector(Dense(TABLE, 2)), {})


def test_metadata_are_in_the_file():
    metadata = {"feature_names": json.dumps(["a", "b"])}
    proto = onnx_file._with_metadata(pytest.importorskip("onnx").ModelProto(), metadata)
    assert {entry.key: entry.value for entry in proto.metadata_props} == metadata
