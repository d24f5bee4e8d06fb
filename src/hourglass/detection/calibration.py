"""Calibration: from a trained network and normal samples to a detector."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from hourglass.data.columns.bins import ColumnBins
from hourglass.data.prepared_data import Prepared
from hourglass.data.table_encoding import TableEncoding
from hourglass.detection.attribution import Profile
from hourglass.detection.block_scores import calibration_values
from hourglass.detection.calibrators import Calibrator
from hourglass.detection.calibrators.from_settings import calibrate
from hourglass.detection.detector import Detector
from hourglass.detection.folds import FoldScores, split_needs_folds
from hourglass.detection.map_images import map_images
from hourglass.detection.pixel_settings import PixelSettings
from hourglass.detection.pixel_threshold import PixelCalibration
from hourglass.detection.scorers import Scorer
from hourglass.detection.scorers.anomaly_map import settings_of
from hourglass.detection.scoring import FITTED_SPLITS, FittedScorer
from hourglass.detection.threshold import Threshold
from hourglass.networks import Network, is_image

MAX_REFERENCE_ROWS = 100_000  # whose values drift compares with


def calibrate_detector(
    network: Network,
    prepared: Prepared,
    scorer: Scorer,
    calibrator: Calibrator,
    network_checksums: dict[str, str],
    train: Callable[[Prepared], Network] | None = None,
    seed: int = 0,
    pixel_settings: PixelSettings = PixelSettings(),
) -> tuple[Detector, Callable[[Calibrator], Threshold]]:
    """Return the detector, and a function that applies any calibrator to its scores.

    The scorer is fitted to the training and validation splits, the profile of errors to the
    calibration split. The network is in evaluation mode. `network_checksums` are those of its
    files, if there are any.

    Of a series, the calibration scores are the maxima of blocks; see `block_scores`.

    If the calibration split is too small for the calibrator, the scores of folds, of networks by
    `train`, replace its scores, for all calibrators and for p-values. `seed` decides the folds.

    Of images, a threshold on the pixels of their anomaly maps is set by `pixel_settings`, from the
    same images, those of folds included.
    """
    scaling = prepared.scaling
    scoring = FittedScorer.fit(network, scaling, scorer, *map(prepared.x, FITTED_SPLITS))
    scores = cache(lambda name: scoring(prepared.x(name)))
    folds, calibration = None, prepared.x("calibration")
    maps, pixels = settings_of(scorer, pixel_settings.smoothing), None
    if is_image(prepared.sample_shape):
        pixels = PixelCalibration(pixel_settings, len(calibration))
    if train is not None and split_needs_folds(calibrator, prepared):
        if pixels is not None:
            pixels.images += sum(len(prepared.x(name)) for name in FITTED_SPLITS)

        def refit(fold: Prepared) -> Callable[[np.ndarray], np.ndarray]:
            other = FittedScorer.fit(train(fold), fold.scaling, scorer, *map(fold.x, FITTED_SPLITS))

            def score(x: np.ndarray) -> np.ndarray:
                if pixels is not None:
                    pixels.add(map_images(other.network, x, other.scaling, maps))
                return other(x)

            return score

        folds = FoldScores(prepared, refit, seed)
    calibrate_scores = partial(calibrate, prepared=prepared, scores=scores, folds=folds)
    own = calibration_values(scaling, calibration, scores("calibration"))
    threshold = calibrate_scores(calibrator)  # scores the folds
    if pixels is not None:
        pixels.add(map_images(network, calibration, scaling, maps))
    detector = Detector(
        inputs=prepared.card,
        scoring=scoring,
        profile=Profile.fit(network, scaling, calibration),
        calibration_scores=folds(own) if folds else own,
        threshold=threshold,
        network_checksums=network_checksums,
        column_bins=_column_bins(prepared),
        pixels=pixels.result(maps, folds.count if folds else None) if pixels else None,
    )
    return detector, calibrate_scores


def _column_bins(prepared: Prepared) -> tuple[ColumnBins, ...]:
    """Return the bins of a table's columns, of evenly spaced rows of the training split."""
    columns, scaling = prepared.features, prepared.scaling
    if not isinstance(scaling, TableEncoding):
        return ()
    train = prepared.x("train")
    rows = np.asarray(scaling.features(train[:: -(-len(train) // MAX_REFERENCE_ROWS)]), np.float64)
    return tuple(ColumnBins.fit(rows[:, i], column) for i, column in enumerate(columns))
