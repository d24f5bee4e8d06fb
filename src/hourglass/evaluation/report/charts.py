"""Plots that compare the variants on one data set, with the same look of a variant in all plots."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from hourglass.evaluation.report.cell import CellSection
from hourglass.evaluation.report.curves import (
    Chart,
    best_epoch,
    read_curve,
    read_history,
    unit_plot,
)
from hourglass.evaluation.report.glossary import score_text, share_text
from hourglass.evaluation.report.svg import LEFT, LETTER, WIDTH, Axis, Plot, marker_path

Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom in pixels

LABEL_HEIGHT = 13
# Positions of a label next to its marker, the preferred first: direction, pixels right and down.
LABEL_PLACES = ((1, 9, 4), (-1, -9, 4), (1, 6, -8), (1, 6, 16), (-1, -6, -8), (-1, -6, 16))


def comparison_charts(data: str, cells: Sequence[CellSection]) -> list[Chart]:
    """Return ROC, precision-recall and training curves, and AUROC over parameters and seconds.

    AUROC over a cost needs two cells to compare.
    """
    labelled = [cell for cell in cells if cell.labelled]
    charts = [_training(data, cells)]
    if labelled:
        timed = [cell for cell in labelled if cell.origin.seconds]
        charts = [
            _roc(data, labelled),
            _precision_recall(data, labelled),
            *charts,
            *_costs(data, labelled, "parameters", lambda cell: float(cell.row["parameters"])),
            *_costs(data, timed, "training seconds", _seconds),
        ]
    return charts


def _seconds(cell: CellSection) -> float:
    return float(cell.origin.seconds or 0)


def _roc(data: str, cells: Sequence[CellSection]) -> Chart:
    plot = unit_plot("false-alarm rate", "recall")
    plot.line([0, 1], [0, 1], "mark dotted", "chance")
    for cell in reversed(cells):  # the best is drawn last, on top
        points = read_curve(cell.cell / "evaluate/roc.csv")
        name = cell.cell.model
        plot.line(
            points[0],
            points[1],
            cell.css,
            f"{name}, AUROC {share_text(cell.metrics['AUROC'])}",
            name,
        )
    label = f"ROC curves on {data}. AUROC: {_listed(cells, 'AUROC')}."
    return Chart("ROC", "Dotted: chance.", plot.svg(label))


def _precision_recall(data: str, cells: Sequence[CellSection]) -> Chart:
    plot, chance = unit_plot("recall", "precision"), cells[0].metrics["prevalence"]
    plot.line([0, 1], [chance, chance], "mark dotted", f"prevalence {share_text(chance)}")
    for cell in reversed(cells):
        points = read_curve(cell.cell / "evaluate/precision_recall.csv")
        name = cell.cell.model
        title = f"{name}, average precision {share_text(cell.metrics['average_precision'])}"
        plot.line(points[0], points[1], cell.css, title, name, step=True)
    label = f"Precision over recall on {data}. Average precision: "
    label += f"{_listed(cells, 'average_precision')}."
    return Chart("Precision and recall", "Dotted: the prevalence.", plot.svg(label))


def _listed(cells: Sequence[CellSection], metric: str) -> str:
    return ", ".join(f"{cell.cell.model} {share_text(cell.metrics[metric])}" for cell in cells)


def _training(data: str, cells: Sequence[CellSection]) -> Chart:
    histories = [read_history(cell.cell) for cell in cells]
    errors = np.concatenate([history.validation_error for history in histories])
    last = max(history.epoch.max() for history in histories)
    y = Axis.around("validation error", errors[np.isfinite(errors)])
    plot = Plot(Axis.around("epoch", [0, max(last, 1)], 0.03), y)
    texts = []
    for cell, history in zip(cells, histories, strict=True):
        name, (epoch, error) = cell.cell.model, best_epoch(history)
        title = f"{name}, best epoch {epoch:.0f}, error {score_text(error)}"
        values = history[["epoch", "validation_error"]].to_numpy().T
        plot.line(values[0], values[1], cell.css, title, name)
        plot.marker(epoch, error, marker_path(cell.series), cell.css, title, name)
        texts.append(f"{name} {score_text(error)}")
    label = f"Validation error per epoch on {data}. Lowest error: {', '.join(texts)}."
    return Chart("Training", "Marker: the best epoch, whose weights are kept.", plot.svg(label))


def _costs(
    data: str, cells: Sequence[CellSection], cost: str, value: Callable[[CellSection], float]
) -> list[Chart]:
    """Plot AUROC with its interval over a cost; label the markers that have room."""
    if len(cells) < 2:
        return []
    values = [auroc_with_interval(cell.metrics) for cell in cells]
    x = Axis.around(cost, [value(cell) for cell in cells], 0.12)
    plot, texts = Plot(x, Axis.around("AUROC", np.concatenate(values))), []
    for cell, (_, *interval) in reversed([*zip(cells, values, strict=True)]):
        name, at, auroc = cell.cell.model, value(cell), cell.metrics["AUROC"]
        title = f"{name}, AUROC {share_text(auroc)}, {cost} {at:,.{0 if at >= 100 else 2}f}"
        if interval:
            plot.line([at, at], interval, f"{cell.css} thin", title, name)
        plot.marker(at, auroc, marker_path(cell.series), cell.css, title, name)
        texts.append(title)
    _label_markers(plot, [(value(cell), cell.metrics["AUROC"], cell.cell.model) for cell in cells])
    label = f"AUROC over {cost} on {data}: {'; '.join(reversed(texts))}."
    legend = f"No intervals: {cells[0].too_few}." if cells[0].too_few else "Lines: 95 % intervals."
    return [Chart(f"AUROC over {cost}", legend, plot.svg(label))]


def auroc_with_interval(row: Mapping[str, Any]) -> list[float]:
    """Return AUROC and the ends of its interval; AUROC alone if there is none."""
    values = (row.get(f"AUROC{end}") for end in ("", "_low", "_high"))
    return [float(value) for value in values if value is not None]


def _label_markers(plot: Plot, points: Sequence[tuple[float, float, str]]) -> None:
    """Write names next to their markers if they overlap no marker and no other name."""
    pixels = [plot.pixels(x, y) for x, y, _ in points]
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in pixels]
    for (x, y, name), (column, row) in zip(points, pixels, strict=True):
        width = LETTER * len(name)
        for side, right, down in LABEL_PLACES:
            left = column + right - (width if side < 0 else 0)
            box = (left, row + down - 10, left + width, row + down - 10 + LABEL_HEIGHT)
            inside = box[0] > LEFT and box[1] > 0 and box[2] < WIDTH
            if inside and not any(_overlap(box, other) for other in taken):
                plot.text(x, y, (right, down), name, "end name" if side < 0 else "name")
                taken.append(box)
                break


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
