"""Export of detectors as ONNX files, which run without torch, and verification of the files."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError, one_line
from hourglass.data.batches import Scaled
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.detector import Detector
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks import is_image
from hourglass.networks.variational import Variational

if TYPE_CHECKING:
    from onnx import ModelProto

Outputs: TypeAlias = dict[str, np.ndarray]

OUTPUTS = ("score", "alarm", "reconstruction")
SCORE_TOLERANCE = 1e-5  # absolute below a score of 1, relative above
PROBE_SAMPLES = 64  # random samples to verify a file
MISSING_SHARE = 0.1  # of their cells


class Traced(nn.Module):
    """Map unscaled samples, (N, *S), to the OUTPUTS of a detector.

    The score is (N,) float64, the alarm (N,) bool. The reconstruction is in the units of the
    samples: (N, *S) float32 for images, (N, C) float64 codes for a table; if the network
    reconstructs features of images, it is those. A sample of a series is a
    window of the codes of its channels, (N, W, C), without times and entities.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        scoring = detector.scoring
        self.network = scoring.network.cpu()
        if isinstance(self.network, Variational):  # export its random draws as constants
            draws = self.network._draws(
                self.network.samples, torch.zeros(1, self.network.latent_dim)
            )
            self.network._draws = lambda samples, like: draws  # type: ignore[method-assign]
        self.scaled = Scaled(scoring.scaling, torch.device("cpu"))
        self.scorer = scoring.scorer
        self.state = {key: torch.tensor(array).double() for key, array in scoring.state.items()}
        self.threshold = detector.threshold.value
        self.is_series = detector.is_series

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return score, alarm and reconstruction of unscaled samples, (N, *S)."""
        if self.is_series:
            inputs = self._encoded(x.flatten(0, 1)).unflatten(0, x.shape[:2]).transpose(1, 2)
        else:
            inputs = self.scaled(x)
        cache = ForwardCache(self.network, inputs)
        score = self.scorer.traced_score(cache, self.state)
        return score, score > self.threshold, self._restored(cache.output)

    def _encoded(self, channels: Tensor) -> Tensor:
        encoding = self.scaled.encoding
        assert isinstance(encoding, SeriesEncoding)
        encoded: Tensor = encoding.encode_features(channels)
        return encoded

    def _restored(self, output: Tensor) -> Tensor:
        encoding = self.scaled.encoding
        if not self.network.reconstructs_samples:
            return output
        if encoding is None:
            return output * self.scaled.scale + self.scaled.offset
        codes: Tensor
        if self.is_series:
            steps = output.transpose(1, 2)
            codes = encoding.inverse(steps.flatten(0, 1)).unflatten(0, steps.shape[:2])
        else:
            codes = encoding.inverse(output)
        return codes


def to_onnx(detector: Detector, metadata: dict[str, str]) -> "ModelProto":
    """Convert a detector to an ONNX model with metadata.

    The input `x` is (N, *S) for any N: images of the type of the data set, or float64 codes of a
    table's columns in the detector's order, NaN for a missing cell, or windows of a series,
    (N, W, C), or tiles of large images, (N, C, h, w). Raises a UserError if the detector cannot be
    exported or the extra `onnx` is not installed.
    """
    scaling = detector.scoring.scaling
    if isinstance(scaling, SeriesEncoding) and scaling.row_score != "window":
        raise UserError(
            "row_score is 'step', so a window has no score of its own, which the file would give; "
            "set `row_score: window` in the data set's file."
        )
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed; install it with `pip install 'hourglass[onnx]'`."
        ) from None
    module = Traced(detector).eval()
    example = torch.from_numpy(probe_samples(detector)[:2])
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                (example,),
                input_names=["x"],
                output_names=list(OUTPUTS),
                dynamic_shapes={"x": {0: torch.export.Dim("samples")}},
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise UserError(
            f"the network or its score {module.scorer.name!r} cannot be exported to ONNX "
            f"({one_line(error.__cause__ or error)}); calibrate with another `score` in "
            "params.yaml, such as hourglass.detection.scorers.ModelScore, or use another variant."
        ) from None
    assert program is not None
    return _with_metadata(program.model_proto, metadata)


def _with_metadata(proto: "ModelProto", metadata: dict[str, str]) -> "ModelProto":
    """Replace the exporter's notes, which contain source paths, by `metadata`."""
    from onnx.helper import set_model_props

    set_model_props(proto, metadata)
    proto.producer_name = "hourglass"
    for node in [
        *proto.graph.node,
        *(node for function in proto.functions for node in function.node),
    ]:
        del node.metadata_props[:]
        node.doc_string = ""
    for part in (proto.graph, *proto.functions, *proto.graph.value_info, *proto.graph.initializer):
        del part.metadata_props[:]
    return proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence log messages and warnings of torch's exporter, meant for its developers."""
    disabled_level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled_level)


def probe_samples(detector: Detector) -> np.ndarray:
    """Return random unscaled samples of realistic scale, (PROBE_SAMPLES, *S).

    Some cells of a table are missing. For a series they are windows, (PROBE_SAMPLES, W, C), and
    for large images tiles.
    """
    rng, count = np.random.default_rng(0), PROBE_SAMPLES
    if is_image(detector.sample_shape):
        shape = (PROBE_SAMPLES, *detector.scoring.network.sample_shape)
        white, dtype = detector.full_scale, detector.image_format.dtype
        if dtype.kind == "f":
            return (rng.random(shape) * white).astype(dtype)
        return rng.integers(0, int(white) + 1, shape).astype(dtype)
    encoding = detector.encoding
    if isinstance(encoding, SeriesEncoding):
        count *= encoding.window
    codes: np.ndarray = encoding.inverse(rng.normal(size=(count, encoding.width)))
    for i, column in enumerate(encoding.columns):  # a date without a trend has no inverse
        dates = column.offset + column.scale * rng.normal(size=count)
        codes[:, i] = np.where(np.isnan(codes[:, i]), dates, codes[:, i])
    if detector.vectors is None:
        codes[rng.random(codes.shape) < MISSING_SHARE] = np.nan
    codes[0] = np.where(np.isnan(codes[0]), 0, codes[0])
    return codes.reshape(PROBE_SAMPLES, -1, codes.shape[1]) if detector.is_series else codes


def verify(path: Path, detector: Detector, x: np.ndarray) -> str:
    """Compare a file with the detector on samples (N, *S); return the name of the runtime.

    Raises a UserError if a score differs by more than SCORE_TOLERANCE, or if an alarm differs
    although its score is farther than SCORE_TOLERANCE from the threshold.
    """
    name, run = load_runtime(path)
    if isinstance(detector.scoring.scaling, SeriesEncoding):
        scores = _window_scores(detector, x)
    else:
        if detector.columns:
            x = x[~np.isnan(x).all(1)]  # a row without any value has no score
        scores = detector.scoring(x)
    outputs = run(x)
    scale = np.maximum(np.abs(scores), 1)
    difference = np.abs(outputs["score"] - scores) / scale
    near = np.abs(scores - detector.threshold.value) <= SCORE_TOLERANCE * scale
    wrong = (outputs["alarm"] != detector.threshold(scores)) & ~near
    if not difference.max() <= SCORE_TOLERANCE or wrong.any():
        raise UserError(
            f"{name} gives scores that differ by {difference.max():.1e}, more than "
            f"{SCORE_TOLERANCE:.0e}, so nothing was written; try another `score` or variant."
        )
    return name


def _window_scores(detector: Detector, x: np.ndarray) -> np.ndarray:
    """Return the score of each window, (N, W, C), as that of a series of its rows."""
    encoding = detector.encoding
    assert isinstance(encoding, SeriesEncoding)
    # Times are unknown. An unknown entity would make each row a run.
    codes = [0.0 if kind == "entity" else np.nan for kind in encoding.roles]
    roles = np.tile(codes, (x.shape[1], 1))
    return np.array([detector.scoring(np.hstack([roles, window]))[0] for window in x])


def load_runtime(path: Path) -> tuple[str, Callable[[np.ndarray], Outputs]]:
    """Return the name of an ONNX runtime, and a function that runs the file on samples.

    The runtime is onnxruntime if it is installed, else the reference implementation of onnx.
    """
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        name, run = "onnx.reference", ReferenceEvaluator(str(path)).run
    else:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        name, run = "onnxruntime", session.run
    return name, lambda x: dict(zip(OUTPUTS, run(None, {"x": x}), strict=True))
