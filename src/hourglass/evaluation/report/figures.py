"""The pictures of one cell, inside the page, each with its content in words."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from hourglass.core.paths import Cell
from hourglass.evaluation.report.formatting import score

Rows: TypeAlias = list[dict[str, str]]


@dataclass(frozen=True)
class Picture:
    """Show one PNG of a cell's figures."""

    title: str
    alt: str
    source: str  # a data URI


def pictures(
    cell: Cell, metrics: dict[str, float], mistakes: dict[str, Rows]
) -> dict[str, Picture]:
    """Return those pictures of a cell that were drawn, by the name of their file."""
    described = {
        "mistakes": ("The worst mistakes beside their reconstructions", _mistakes(mistakes)),
        "attribution": ("The features that contributed most to them", _attribution(mistakes)),
        "reconstructions": ("Samples beside their reconstructions", _errors(metrics)),
        "samples": (
            "What the network makes up",
            f"A grid of images that {cell.model} made up from random codes.",
        ),
    }
    found = {}
    for name, (title, alt) in described.items():
        path = cell / f"evaluate/figures/{name}.png"
        if path.exists():
            found[name] = Picture(title, alt, source(path))
    return found


def source(path: Path, colours: int = 256) -> str:
    """Return a picture as a data URI, in few colours: a third of the bytes for what looks alike."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        few = image.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _mistakes(mistakes: dict[str, Rows]) -> str:
    worst = [
        f"The worst {kind} has label {rows[0]['label']} and score {score(rows[0]['score'])}."
        for kind, rows in mistakes.items()
        if rows
    ]
    return " ".join(["Wrongly judged samples and what the network makes of them.", *worst])


def _attribution(mistakes: dict[str, Rows]) -> str:
    worst = [
        f"Of the worst {kind} that is {rows[0]['feature_1']}, "
        f"{float(rows[0]['contribution_1']):.1f} standard deviations above its usual error."
        for kind, rows in mistakes.items()
        if rows and rows[0].get("feature_1")
    ]
    start = "For each of these samples, bars for the features that contributed most."
    return " ".join([start, *worst])


def _errors(metrics: dict[str, float]) -> str:
    parts = {"normal": "of normal samples", "anomalous": "of anomalous samples"}
    errors = [
        f"{score(metrics[key])} {words}"
        for name, words in parts.items()
        if (key := f"reconstruction_error_{name}") in metrics
    ]
    return f"Samples and what the network makes of them; mean squared error {', '.join(errors)}."
