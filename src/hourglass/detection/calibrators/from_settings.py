"""Build calibrators from settings, and calibrate each on the split that it needs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.paths import CONFIGS
from hourglass.core.suggestions import counted
from hourglass.core.yaml_config import build, read
from hourglass.data.prepared_data import Prepared, Split
from hourglass.data.scaling import encoding_from_dict
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.block_scores import (
    blocks_text,
    calibration_values,
    for_data,
    set_threshold,
)
from hourglass.detection.calibrators import Calibrator, LabelledCalibrator
from hourglass.detection.folds import FoldScores, fold_count, needs_folds
from hourglass.detection.threshold import Threshold


def make_calibrator(config: dict[str, Any]) -> Calibrator:
    """Return the calibrator that `calibration` in params.yaml describes."""
    return build(config, Calibrator, "params.yaml, calibration")


def check_calibration_samples(card: dict[str, Any], calibrator: Calibrator) -> str:
    """Return a note if a data set, described by its card, is so small that folds calibrate it.

    The note is "" if its calibration split is large enough. Raises a UserError if all samples for
    training and calibration together are too few.
    """
    encoding = encoding_from_dict(card["scaling"])
    key, unit = "normal", "sample"
    calibrator = for_data(calibrator, encoding)
    needed = str(calibrator.min_samples)
    if isinstance(encoding, SeriesEncoding):
        key, unit = "blocks", "block"
        needed = blocks_text(calibrator.min_samples, encoding)
    sizes = [card["splits"][name][key] for name in ("train", "validation", "calibration")]
    if not needs_folds(calibrator, sizes[-1]):
        return ""
    settings = ", ".join(
        f"{name} {value}" for name, value in calibrator.settings.items() if value is not None
    )
    too_few = (
        f"{card['data']} has {counted(sizes[-1], f'calibration {unit}')}, but `calibration` in "
        f"params.yaml, {calibrator.method} with {settings}, needs {needed}"
    )
    if sum(sizes) < calibrator.min_samples:
        raise UserError(
            f"{too_few}, and train, validation and calibration together have {sum(sizes)}; add "
            "samples or change `calibration`."
        )
    return (
        f"{too_few}; calibrate-threshold therefore uses cross-conformal scores of {sum(sizes)} "
        f"{unit}s from {fold_count(*sizes)} folds, whose false-alarm rate is alpha approximately, "
        "not as a bound."
    )


def comparison_calibrators() -> dict[str, Calibrator]:
    """Return the calibrators in configs/calibrators.yaml, by name."""
    path = CONFIGS / "calibrators.yaml"
    return {
        name: build(config, Calibrator, f"{path.as_posix()}, {name}")
        for name, config in read(path, None).items()
    }


def calibrate(
    calibrator: Calibrator,
    prepared: Prepared,
    scores: Callable[[Split], np.ndarray],
    folds: FoldScores | None = None,
) -> Threshold:
    """Return the threshold of a calibrator from the scores of the split that it needs.

    Labelled calibrators use the tuning split, all others the calibration split and the `folds`, if
    they are given. `scores` returns the scores of a split, (N,). Of a series, labelled calibrators
    count rows, all others blocks; see `block_scores`.
    """
    if isinstance(calibrator, LabelledCalibrator):
        return calibrator(scores("tuning"), prepared.split("tuning").anomaly)
    encoding = prepared.scaling
    calibrator = for_data(calibrator, encoding)
    events = calibrator.counts_events
    values = calibration_values(encoding, prepared.x("calibration"), scores("calibration"), events)
    if folds is None:
        return set_threshold(calibrator, encoding, values)
    return folds.describe(set_threshold(calibrator, encoding, folds(values, events)))
