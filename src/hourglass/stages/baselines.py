"""Stage `baselines`: a data set's arrays -> the metrics of what every variant has to beat."""

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.calibration import Calibrator
from hourglass.data.packed import Prepared
from hourglass.files import write_json
from hourglass.settings import params
from hourglass.stages.calibrate_threshold import calibration_of, make_calibrator
from hourglass.workspace import baselines_file, prepared_folder


def baselines(data: str) -> Path:
    """Train, calibrate and evaluate scikit-learn's detectors on the splits of the variants.

    Isolation forest, one-class SVM, distance to the nearest neighbours and Mahalanobis distance, on
    scaled inputs. Writes runs/<data>/baselines.json. PCA, which depends on the code size of the
    variants, is a matter of `compare`.

    Args:
        data: a data set, by the name of its file in configs/data

    """
    from tqdm import tqdm

    from hourglass.baselines import BASELINES

    config, prepared = params(), Prepared.open(prepared_folder(data))
    calibrator = make_calibrator(config.calibration)
    train = flat(prepared, prepared.split("train").x)
    rows = {}
    for name, fit in tqdm(BASELINES.items(), f"{data}, baselines", disable=None, leave=False):
        rows[name] = measured(prepared, fit(train, config.seed), calibrator)
    path = baselines_file(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, rows)
    return path


def flat(prepared: Prepared, x: np.ndarray) -> np.ndarray:
    """Return scaled samples as vectors: (N, *S) -> (N, F) float32."""
    return prepared.scaling(np.asarray(x)).reshape(len(x), -1)


def measured(prepared: Prepared, score: Any, calibrator: Calibrator) -> dict[str, Any]:
    """Return threshold and test metrics of a detector that is no network."""
    from hourglass import metrics

    scores = cache(lambda name: score(flat(prepared, prepared.split(name).x)))
    threshold = calibration_of(prepared, scores)(calibrator)
    test = prepared.split("test")
    found = metrics.detection(scores("test"), test.anomaly)
    found |= metrics.at_threshold(scores("test"), test.anomaly, threshold)
    return {"threshold": asdict(threshold), "metrics": found}
