"""Networks and detectors of time series in ONNX: equal to torch for any number of windows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hourglass.data.columns.column import NUMBER, Column
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.attribution import Profile
from hourglass.detection.detector import Detector
from hourglass.detection.scorers import ModelScore
from hourglass.detection.scoring import FittedScorer
from hourglass.detection.threshold import Threshold
from hourglass.networks import Dense, Network
from hourglass.networks.recurrent import Recurrent
from hourglass.networks.temporal import Temporal
from hourglass.serving.onnx_export import probe_samples, to_onnx, verify

pytest.importorskip("onnxscript", reason="the extra `onnx` is not installed")
onnxruntime = pytest.importorskip("onnxruntime")

SHAPE = (3, 21)  # an odd number of steps, which `pool` does not divide
NETWORKS = {
    "gru": lambda: Recurrent(SHAPE, 4, "gru", 16, 2),
    "lstm": lambda: Recurrent(SHAPE, 4, "lstm", 16, 1),
    "temporal": lambda: Temporal(SHAPE, 4, 8, 3),
}


class Outputs(nn.Module):
    """The score and the reconstruction of windows."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return score, (N,), and reconstruction of windows, (N, F, W)."""
        return self.network.score(x), self.network(x)


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_of_series_can_be_exported(kind, tmp_path):
    torch.manual_seed(0)
    module = Outputs(NETWORKS[kind]()).eval()
    program = torch.onnx.export(
        module,
        (torch.randn(2, *SHAPE),),
        input_names=["x"],
        dynamic_shapes={"x": {0: torch.export.Dim("samples")}},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    # One node for all steps of a recurrent layer, and none per step.
    kinds = [node.op_type for node in program.model_proto.graph.node]
    assert len(kinds) < 100
    program.save(tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "network.onnx", providers=["CPUExecutionProvider"]
    )
    for count in (1, 50):
        x = torch.randn(count, *SHAPE)
        with torch.no_grad():
            expected = module(x)
        for output, values in zip(session.run(None, {"x": x.numpy()}), expected, strict=True):
            np.testing.assert_allclose(output, values.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("entity", [(), (Column("pump", "entity"),)])
def test_detectors_with_and_without_entities_can_be_exported(entity, tmp_path):
    columns = (*entity, Column("t", "time", date_format=NUMBER), Column("flow"), Column("heat"))
    rng = np.random.default_rng(0)
    roles = [np.zeros(60)] * len(entity) + [np.arange(60.0)]
    x = np.column_stack([*roles, rng.normal(size=(60, 2))])
    encoding = replace(SeriesEncoding.fit(columns, x), window=8)
    torch.manual_seed(0)
    network = Dense(encoding.input_shape, 4, [16])
    network.add_heads(encoding.heads)
    scoring = FittedScorer.fit(network.eval(), encoding, ModelScore(), x)
    inputs = {
        "data": "pump",
        "sample_shape": (len(columns),),
        "dtype": "float64",
        "feature_names": ["flow", "heat"],
        "columns": [column.to_dict() for column in columns],
        "scaling": encoding.to_dict(),
    }
    scores = scoring(x)
    threshold = Threshold(float(np.median(scores)), "quantile", {}, len(x))
    profile = Profile(np.zeros(2, np.float32), np.ones(2, np.float32))
    detector = Detector(inputs, scoring, profile, scores, threshold, {})
    path = tmp_path / "detector.onnx"
    path.write_bytes(to_onnx(detector, {}).SerializeToString())
    assert verify(path, detector, probe_samples(detector))
