"""Stage `baselines`: a data set's arrays -> the metrics of what every variant has to beat."""

from pathlib import Path

from hourglass.calibration.chosen import make_calibrator
from hourglass.data.packed import Prepared
from hourglass.files import write_json
from hourglass.settings import params
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

    from hourglass.baselines import BASELINES, flat, measured

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
