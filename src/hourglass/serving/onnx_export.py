"""Detectors as ONNX files, which need neither Python nor torch: written, and checked."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from hourglass.core.errors import UserError
from hourglass.detection.detector import Detector
from hourglass.networks import is_image
from hourglass.serving.traceable import Traced

if TYPE_CHECKING:
    from onnx import ModelProto

Outputs: TypeAlias = dict[str, np.ndarray]

OUTPUTS = ("score", "alarm", "reconstruction")
TOLERANCE = 1e-5  # absolute, of scores above 1 relative
PROBES = 64  # samples on which a file is checked


def model(detector: Detector, about: dict[str, str]) -> "ModelProto":
    """Return a detector as an ONNX model; `about` goes into its metadata.

    Input `x` is what a caller has, (N, *S): uint8 images or float32 features in the detector's
    order, as many as there are. Raises a UserError where a scorer cannot be traced, or an extra is
    not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed; install it with `pip install 'hourglass[onnx]'`."
        ) from None
    module = Traced(detector).eval()
    example = torch.from_numpy(probes(detector)[:2])
    with _quiet():
        found = torch.onnx.export(
            module,
            (example,),
            input_names=["x"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"x": {0: torch.export.Dim("samples")}},
            dynamo=True,
            verbose=False,
        )
    assert found is not None
    return _described(found.model_proto, about)


def _described(proto: "ModelProto", about: dict[str, str]) -> "ModelProto":
    """Return the model with `about`, and without the exporter's notes, which name our files."""
    from onnx.helper import set_model_props

    set_model_props(proto, about)
    proto.producer_name = "hourglass"
    for node in [*proto.graph.node, *(node for each in proto.functions for node in each.node)]:
        del node.metadata_props[:]
        node.doc_string = ""
    for part in (proto.graph, *proto.functions, *proto.graph.value_info, *proto.graph.initializer):
        del part.metadata_props[:]
    return proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch's exporter says to its developers from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def probes(detector: Detector) -> np.ndarray:
    """Return samples made up for a check, (n, *S): noise of the size that real ones have."""
    rng = np.random.default_rng(0)
    shape, scaling = (PROBES, *detector.sample_shape), detector.scoring.scaling
    if is_image(detector.sample_shape):
        return rng.integers(0, int(scaling.scale) + 1, shape).astype(np.uint8)
    return scaling.inverse(rng.normal(size=shape))


def check(path: Path, detector: Detector, x: np.ndarray) -> str:
    """Run a file on samples (N, *S) and compare it with the detector; return by what it was run.

    Raises a UserError where a score differs by more than TOLERANCE, or an alarm that is not within it
    of the threshold.
    """
    name, run = runtime(path)
    found = run(x)
    scores = detector.scoring(x)
    apart = np.abs(found["score"] - scores) / np.maximum(np.abs(scores), 1)
    near = np.abs(scores - detector.threshold.value) <= TOLERANCE * np.maximum(np.abs(scores), 1)
    wrong = (found["alarm"] != detector.threshold(scores)) & ~near
    if not apart.max() <= TOLERANCE or wrong.any():
        raise UserError(
            f"{name} gives scores that differ by {apart.max():.1e}, more than {TOLERANCE:.0e}, so "
            "nothing was written; try another `score` or variant."
        )
    return name


def runtime(path: Path) -> tuple[str, Callable[[np.ndarray], Outputs]]:
    """Return what runs ONNX files here, and a function from samples to the outputs of this one.

    That is onnxruntime, or where it is not installed the reference implementation of onnx.
    """
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(str(path))
        return "onnx.reference", lambda x: _named([*evaluator.run(None, {"x": x})])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return "onnxruntime", lambda x: _named(session.run(None, {"x": x}))


def _named(values: Sequence[Any]) -> Outputs:
    return dict(zip(OUTPUTS, values, strict=True))
