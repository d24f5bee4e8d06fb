"""Stage `baselines`: prepared arrays -> metrics of detectors from scikit-learn."""

from functools import partial
from pathlib import Path

from hourglass.core.atomic import write_json
from hourglass.core.paths import baselines_file, prepared_folder, valid_name
from hourglass.core.settings import params
from hourglass.data.prepared_data import Prepared
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.calibrators.from_settings import make_calibrator
from hourglass.stages.output import stage_lock


def baselines(data: str) -> Path:
    """Train, calibrate and evaluate baseline detectors from scikit-learn on the same splits.

    The detectors are isolation forest, one-class SVM, distance to the nearest neighbours and
    Mahalanobis distance, on scaled inputs, and for tables the sum of negative log frequencies of
    the values of single columns. Writes runs/<data>/baselines.json. Stage `compare` adds
    PCA, because its number of components depends on the latent_dim of the variants.

    Examples:
        hourglass baselines digits

    """
    from hourglass.core.progress_bar import ProgressBar
    from hourglass.evaluation.baselines import (
        BASELINES,
        evaluate_baseline,
        scaled_vectors,
        unscaled_codes,
    )
    from hourglass.evaluation.marginal_frequencies import marginal_frequencies

    with stage_lock("baselines", valid_name(data)):
        config, prepared = params(), Prepared.open(prepared_folder(data))
        calibrator = make_calibrator(config.calibration)
        train = scaled_vectors(prepared, prepared.split("train").x)
        rows = {}
        bar = ProgressBar(BASELINES.items(), f"{data}, baselines", unit=" baselines", leave=False)
        for name, fit in bar:
            bar.set_postfix_str(name)
            fitted = partial(fit, seed=config.seed)
            rows[name] = evaluate_baseline(prepared, fitted(train), calibrator, fit=fitted)
        if prepared.columns and not isinstance(prepared.scaling, SeriesEncoding):
            by_frequency = partial(marginal_frequencies, columns=prepared.columns)
            rows[marginal_frequencies.__name__] = evaluate_baseline(
                prepared,
                by_frequency(prepared.x("train")),
                calibrator,
                unscaled_codes,
                by_frequency,
            )
        path = baselines_file(data)
        write_json(path, rows)
    return path
