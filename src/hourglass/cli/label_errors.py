"""Rank labelled samples by how little they look like their label."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hourglass.core.atomic import atomic_files
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.settings import data_config, model_config
from hourglass.data.prepared import Prepared
from hourglass.data.scaling import Scaling
from hourglass.studies.label_errors.cross_fitting import Fit, class_errors, folds_of, suspicion
from hourglass.studies.label_errors.labelled_samples import LEAST, Labelled, read
from hourglass.training.cell_settings import CellSettings, resolve_cell

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path("reports/suspects")


def suspects(data: str, model: str = "undercomplete", folds: int = 3, top: int = 40) -> Path:
    """Rank the labelled samples of a data set by how little they look like their label.

    For each class a network of the variant is trained on the samples that bear its label. A sample
    is suspicious where the network of another class reconstructs it better than that of its own;
    none of them was trained on the sample's fold. All normal samples of all five splits are
    ranked; anomalies are no part of it. Writes reports/suspects/<data>.csv: rank (from 1, the most
    suspicious), id, split, label, suspected (the class that would fit best instead), suspicion
    (natural logarithm of the error under the label over that under the suspected class; above 0
    the suspected class fits better). Of images also <data>.png, the first of them.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        folds: into how many parts the samples are cut, each judged by what learnt from the others
        top: how many of the most suspicious samples are printed and drawn

    """
    for name, value, least in (("folds", folds, 2), ("top", top, 1)):
        if value < least:
            raise UserError(f"{name} is {value}, but must be at least {least}.")
    if folds > LEAST:
        raise UserError(f"folds is {folds}, but must be at most {LEAST}.")
    cell = Cell(data, model)
    # Unknown names are refused at once, before the heavy imports.
    data_config(data)
    model_config(model)
    prepared = Prepared.open(cell.prepared)
    samples = read(prepared)
    settings = resolve_cell(cell, prepared.sample_shape)
    errors = errors_under_classes(settings, samples, prepared.scaling, folds)
    table = _table(samples, *suspicion(errors, samples.y))
    return _report(data, table, samples, prepared.scaling, top)


def errors_under_classes(
    settings: CellSettings, samples: Labelled, scaling: Scaling, folds: int
) -> np.ndarray:
    """Return each sample's error under every class, (N, C), by networks not trained on its fold."""
    from tqdm import tqdm

    errors = np.empty((len(samples.y), len(samples.classes)))
    fold = folds_of(samples.y, folds, settings.seed)
    work = class_errors(samples.x, samples.y, fold, learner(settings, scaling))
    name, total = f"{settings.data}-{settings.model}", folds * len(samples.classes)
    with tqdm(work, total=total, desc=name, unit="network", disable=None) as bar:
        for judged, each, found in bar:
            errors[judged, each] = found
    return errors


def learner(settings: CellSettings, scaling: Scaling) -> Fit:
    """Return the function that trains the variant on unscaled samples, to that of its errors.

    Raises a UserError where an error is not finite: it must never pass as unsuspicious.
    """
    from hourglass.detection.scoring import errors
    from hourglass.studies.label_errors.class_networks import trained

    def fit(members: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        network = trained(settings, members, scaling)

        def judge(x: np.ndarray) -> np.ndarray:
            found = errors(network, x, scaling)
            if not np.isfinite(found).all():
                raise UserError(
                    f"an error of {settings.data}-{settings.model} is not finite; lower "
                    "learning_rate or check the data's scaling."
                )
            return found

        return judge

    return fit


def _table(samples: Labelled, suspicion: np.ndarray, suspected: np.ndarray) -> "pd.DataFrame":
    """Return a row a sample, the most suspicious first; the index is the sample's place."""
    import pandas as pd

    table = pd.DataFrame(
        {
            "id": samples.id,
            "split": samples.split,
            "label": samples.label,
            "suspected": samples.classes[suspected],
            "suspicion": suspicion,
        }
    )
    table = table.sort_values("suspicion", ascending=False, kind="stable")
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def _report(
    data: str, table: "pd.DataFrame", samples: Labelled, scaling: Scaling, top: int
) -> Path:
    """Write the table and the picture, print the first rows, and return the table's path."""
    first = table.head(top)
    with atomic_files(FOLDER) as temporary:
        if samples.x.ndim > 2:  # images
            _draw(first, scaling(samples.x[first.index]), temporary / f"{data}.png")
        table.to_csv(temporary / f"{data}.csv", index=False, lineterminator="\n")
    better = int((table.suspicion > 0).sum())
    print(f"another class fits {better} of {len(table)} samples of {data} better\n")
    print(first.to_markdown(index=False, floatfmt=".3f"))
    return FOLDER / f"{data}.csv"


def _draw(first: "pd.DataFrame", images: np.ndarray, path: Path) -> None:
    from hourglass.evaluation.figures import save
    from hourglass.studies.label_errors.contact_sheet import grid

    captions = [f"{row.label} \N{RIGHTWARDS ARROW} {row.suspected}" for row in first.itertuples()]
    save(grid(images, captions), path)
