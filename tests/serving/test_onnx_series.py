"""Networks of time series in ONNX: equal to torch for any number of windows."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hourglass.networks import Network
from hourglass.networks.recurrent import Recurrent
from hourglass.networks.temporal import Temporal

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
