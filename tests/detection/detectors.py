"""Small detectors of tables and images."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from hourglass.data.scaling import Encoding, Scaling
from hourglass.detection.attribution import Profile
from hourglass.detection.calibrators import Conformal
from hourglass.detection.detector import Detector
from hourglass.detection.scorers import ModelScore, Scorer
from hourglass.detection.scoring import FittedScorer
from hourglass.networks import Network, is_image
from tests.tables import number_columns, number_encoding


def normal(sample_shape: tuple[int, ...], count: int, seed: int = 0) -> np.ndarray:
    """Return unscaled samples: features of different scales, or images of uint8."""
    rng = np.random.default_rng(seed)
    if is_image(sample_shape):
        return rng.integers(0, 256, (count, *sample_shape), dtype=np.uint8)
    scales = 10.0 ** np.arange(sample_shape[0])
    return scales * rng.normal(1, 1, (count, *sample_shape))


def detector(
    network: Network,
    scorer: Scorer | None = None,
    samples: Callable[[tuple[int, ...], int, int], np.ndarray] = normal,
    table_scaling: Literal["standard", "none"] = "standard",
) -> Detector:
    """Return a detector fitted to samples of seed 1 and calibrated on samples of seed 2."""
    network.eval().requires_grad_(False)
    shape = network.sample_shape
    train, calibration = samples(shape, 300, 1), samples(shape, 200, 2)
    image = is_image(shape)
    scaling: Encoding = Scaling.of_images(255)
    if not image:
        scaling = number_encoding(train, table_scaling)
        assert scaling.heads is not None
        network.add_heads(scaling.heads)
    scoring = FittedScorer.fit(network, scaling, scorer or ModelScore(), train)
    scores = scoring(calibration)
    inputs = {
        "data": "made",
        "sample_shape": list(shape),
        "dtype": str(train.dtype),
        "feature_names": [] if image else [f"f{i}" for i in range(shape[0])],
        "columns": [] if image else [column.to_dict() for column in number_columns(shape[0])],
        "scaling": scaling.to_dict(),
    }
    profile = Profile.fit(network, scaling, calibration)
    return Detector(inputs, scoring, profile, scores, Conformal(0.05)(scores), {})
