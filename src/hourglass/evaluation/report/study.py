"""The pictures of a cell's study, inside the page, each with its content in words."""

import json
from pathlib import Path

from hourglass.core.paths import Cell
from hourglass.evaluation.report.figures import Picture, source
from hourglass.evaluation.report.formatting import share

COLOURS = 64  # of a picture: there are several a cell


def study(cell: Cell) -> list[Picture]:
    """Return those pictures of a cell's study that were drawn and that a page has room for."""
    path = cell / "study/metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    described = {
        "map": (
            "Codes of test samples in two dimensions",
            "Two maps, by principal components and by t-SNE, coloured by class, with crosses for "
            "anomalies."
            + _said(metrics, "kNN_accuracy", " Neighbours tell the class in {} of all cases."),
        ),
        "interpolation": (
            "From one code to another in ten equal steps, within a class and between classes",
            "Rows of decoded codes."
            + _said(
                metrics,
                "interpolation_between_classes",
                " Halfway between classes {} look like one of the two.",
            ),
        ),
        "neighbourhood": (
            "Steps of growing size from a code, in standard deviations of the codes, and the share "
            "that keeps its class",
            "A row a class."
            + _said(metrics, "neighbourhood_radius", " A tenth has lost its class at {} sd."),
        ),
        "generated": (
            "What is made up by samplers of codes, and its Frechet distance from real samples",
            "A row of images a sampler, real ones first.",
        ),
        "denoising": (
            "What is left of noise, against filters that know how strong it is",
            "Curves of PSNR and SSIM over the noise factor."
            + _said(metrics, "PSNR_noise_0.5", " At noise factor 0.5 the network reaches {} dB."),
        ),
        "rates": (
            "Reconstruction error over the bytes of a sample",
            "Curves of the code and of PCA, and for images of JPEG.",
        ),
    }
    return [
        Picture(title, alt, source(path, COLOURS))
        for name, (title, alt) in described.items()
        if (path := _path(cell, name)).exists()
    ]


def _path(cell: Cell, name: str) -> Path:
    return cell / f"study/figures/{name}.png"


def _said(metrics: dict[str, float], key: str, sentence: str) -> str:
    """Return the sentence with the metric in it; nothing where that was not measured."""
    return sentence.format(share(metrics[key])) if key in metrics else ""
