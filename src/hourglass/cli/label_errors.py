"""Command `label-errors`: rank labelled samples, the most likely label errors first."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hourglass.core.atomic import atomic_files
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.settings import data_config, model_config
from hourglass.data.prepared_data import Prepared
from hourglass.studies.label_errors.ranking import (
    MIN_CLASS_SAMPLES,
    label_suspicion,
    read_labelled_dataset,
)
from hourglass.training.cell_settings import resolve_cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("reports/label-errors")
GRID_COLUMNS = 10
COLUMN_INCHES, CAPTION_INCHES = 1.05, 0.3


def label_errors(data: str, model: str = "undercomplete", folds: int = 3, top: int = 40) -> Path:
    """Rank the labelled samples of a data set, the most likely label errors first.

    One network of the variant is trained per class and fold. A label is suspicious if the network
    of another class reconstructs the sample better than the network of the given class. Neither
    network was trained on the sample's fold. The normal samples of all five splits are ranked;
    anomalies are excluded. Writes reports/label-errors/<data>.csv with the columns rank (1 is the
    most suspicious), id, split, label (the given label), suspected (the suggested label: the other
    class with the lowest error) and suspicion: the natural logarithm of the error under the given
    label divided by the error under the suggested label. Above 0, the suggested label fits better.
    For images, also writes <data>.png with the most suspicious samples.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        folds: number of folds for cross-fitting
        top: number of samples that are printed and drawn

    Examples:
        hourglass label-errors digits
        hourglass label-errors breast_cancer linear --folds 5 --top 20

    """
    for name, value, minimum in (("folds", folds, 2), ("top", top, 1)):
        if value < minimum:
            raise UserError(f"{name} is {value}, but must be at least {minimum}.")
    if folds > MIN_CLASS_SAMPLES:
        raise UserError(
            f"folds is {folds}, but must be at most {MIN_CLASS_SAMPLES}, the minimum number "
            "of samples per class."
        )
    cell = Cell(data, model)
    # Check the names before the heavy imports.
    data_config(data)
    model_config(model)
    prepared = Prepared.open(cell.prepared)
    samples = read_labelled_dataset(prepared)
    import pandas as pd

    from hourglass.core.csv_formulas import write_csv
    from hourglass.evaluation.figures import save
    from hourglass.studies.label_errors.class_networks import errors_under_classes

    settings = resolve_cell(cell, prepared.input_shape, prepared.input_count("train"))
    errors = errors_under_classes(settings, samples, prepared.scaling, folds)
    suspicion, suggested = label_suspicion(errors, samples.y)
    columns = {"id": samples.id, "split": samples.split, "label": samples.label}
    columns |= {"suspected": samples.classes[suggested], "suspicion": suspicion}
    # The index is the position in `samples`.
    table = pd.DataFrame(columns).sort_values("suspicion", ascending=False, kind="stable")
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    most_suspicious = table.head(top)
    with atomic_files(FOLDER) as temporary:
        if samples.x.ndim > 2:  # images
            arrow = "\N{RIGHTWARDS ARROW}"
            captions = [
                f"{row.label} {arrow} {row.suspected}" for row in most_suspicious.itertuples()
            ]
            images = prepared.scaling(samples.x[most_suspicious.index])
            save(draw_grid(images, captions), temporary / f"{data}.png")
        write_csv(table, temporary / f"{data}.csv")
    suspicious = int((table.suspicion > 0).sum())
    print(
        f"likely label errors: {suspicious} of {len(table)} samples of {data} fit the suggested "
        "label better than the given label\n"
    )
    print(most_suspicious.to_markdown(index=False, floatfmt=".3f"))
    return FOLDER / f"{data}.csv"


def draw_grid(images: np.ndarray, captions: list[str]) -> "Figure":
    """Draw images, (n, C, H, W) with pixels in [0, 1], below their captions in rows of ten."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(images) / GRID_COLUMNS)
    height, width = images.shape[2:]
    row_inches = COLUMN_INCHES * height / width + CAPTION_INCHES
    figure = Figure(figsize=(COLUMN_INCHES * GRID_COLUMNS, row_inches * rows), layout="constrained")
    panels = figure.subplots(rows, GRID_COLUMNS, squeeze=False).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, image, caption in zip(panels, images, captions, strict=False):
        axes.imshow(np.clip(image.transpose(1, 2, 0), 0, 1), cmap="gray", vmin=0, vmax=1)
        # parse_math=False: a dollar sign in a label must not start a formula.
        axes.set_title(caption, fontsize=7, pad=3, parse_math=False)
    return figure
