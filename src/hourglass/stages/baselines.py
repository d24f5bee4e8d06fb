"""Stage `baselines`: prepared arrays -> metrics of detectors from scikit-learn."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.core.atomic import write_json
from hourglass.core.paths import baselines_file, prepared_folder, valid_name
from hourglass.core.settings import params
from hourglass.data.prepared_data import Prepared
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.calibrators.from_settings import make_calibrator
from hourglass.stages.output import stage_lock

if TYPE_CHECKING:
    from hourglass.evaluation.baselines import ScoreFunction


def baselines(data: str) -> Path:
    """Train, calibrate and evaluate baseline detectors from scikit-learn on the same splits.

    The detectors are isolation forest, one-class SVM, distance to the nearest neighbours and
    Mahalanobis distance, on scaled inputs, and for tables the sum of negative log frequencies of
    the values of single columns. For series they are PCA, nearest neighbours, isolation forest and
    a linear forecast, on windows. Writes runs/<data>/baselines.json. Stage `compare` adds
    PCA, because its number of components depends on the latent_dim of the variants.

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
        path = baselines_file(data)
        write_json(path, rows)
    return path
