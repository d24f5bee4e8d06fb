"""Stage `baselines`: prepared arrays -> metrics of detectors from scikit-learn."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.core.atomic import write_json
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell, baselines_file, prepared_folder, valid_name
from hourglass.core.settings import Params, model_config, params
from hourglass.data.prepared_data import Prepared
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.calibrators import Calibrator
from hourglass.detection.calibrators.from_settings import make_calibrator
from hourglass.stages.output import stage_lock

if TYPE_CHECKING:
    import numpy as np

    from hourglass.evaluation.baselines import ScoreFunction
    from hourglass.evaluation.feature_baselines import DistanceMaps

FEATURE = "hourglass.models.feature.Feature"


def baselines(data: str) -> Path:
    """Train, calibrate and evaluate baseline detectors from scikit-learn on the same splits.

    The detectors are isolation forest, one-class SVM, distance to the nearest neighbours and
    Mahalanobis distance, on scaled inputs, and for tables the sum of negative log frequencies of
    the values of single columns. For series they are PCA, nearest neighbours, isolation forest and
    a linear forecast, on windows. For images with a feature autoencoder in the grid, they are also
    PaDiM and nearest neighbours on its features. Writes runs/<data>/baselines.json. Stage `compare`
    adds PCA, because its number of components depends on the latent_dim of the variants.

    Examples:
        hourglass baselines digits

    """
    from hourglass.core.progress_bar import ProgressBar
    from hourglass.evaluation.baselines import BASELINES, evaluate_baseline, on_inputs
    from hourglass.evaluation.marginal_frequencies import marginal_frequencies
    from hourglass.evaluation.window_baselines import WINDOW_BASELINES

    with stage_lock("baselines", valid_name(data)):
        config, prepared = params(), Prepared.open(prepared_folder(data))
        calibrator = make_calibrator(config.calibration)
        seed = {"seed": config.seed}
        is_series = isinstance(prepared.scaling, SeriesEncoding)
        kinds = WINDOW_BASELINES if is_series else BASELINES
        fits: dict[str, Callable[[Prepared], ScoreFunction]] = {
            name: partial(on_inputs, partial(fit, **seed)) for name, fit in kinds.items()
        }
        if prepared.columns and not is_series:
            fits[marginal_frequencies.__name__] = marginal_frequencies
        rows = {}
        bar = ProgressBar(fits.items(), f"{data}, baselines", unit=" baselines", leave=False)
        for name, fit in bar:
            bar.set_postfix_str(name)
            rows[name] = evaluate_baseline(prepared, fit, calibrator)
        for name, evaluate in feature_fits(prepared, data, config).items():
            rows[name] = evaluate(calibrator)
        path = baselines_file(data)
        write_json(path, rows)
    return path


def feature_models(config: Params) -> list[str]:
    """Return the names of the feature autoencoders in the grid."""
    return [name for name in config.models if model_config(name).get("class_path") == FEATURE]


def feature_fits(
    prepared: Prepared, data: str, config: Params
) -> dict[str, Callable[[Calibrator], dict[str, Any]]]:
    """Return the evaluations of baselines on the features of the first feature autoencoder."""
    models = feature_models(config)
    if not models or len(prepared.input_shape) != 3:
        return {}
    from hourglass.detection.anomaly_maps import MapSettings
    from hourglass.evaluation.feature_baselines import (
        FEATURE_BASELINES,
        evaluate_feature_baseline,
    )
    from hourglass.networks.feature import Feature
    from hourglass.training.cell_settings import resolve_cell
    from hourglass.training.features import cached_features
    from hourglass.training.trainer import make_module

    cell, rows = Cell(data, models[0]), prepared.input_count("train")
    try:
        network = make_module(resolve_cell(cell, prepared.input_shape, rows)).network
    except UserError as error:
        print(f"{data}: no baselines on features, as {error}", file=sys.stderr)
        return {}
    assert isinstance(network, Feature)

    def evaluate(
        fit: "Callable[[np.ndarray, int], DistanceMaps]", calibrator: Calibrator
    ) -> dict[str, Any]:
        return evaluate_feature_baseline(
            prepared,
            lambda train: fit(train, config.seed),
            lambda x: cached_features(network, x, prepared.scaling, f"{data}, features"),
            network.top_share,
            calibrator,
            MapSettings(config.pixel_threshold.get("smoothing")),
        )

    return {name: partial(evaluate, fit) for name, fit in FEATURE_BASELINES.items()}
