"""The rows of scripts/reproduce.py: published figures, and the trainings that measure ours."""

from collections.abc import Iterator

from hourglass.detection.scorers import Combined, Neighbors, RelativeError, Scorer
from papers.classification import cae, knn, sdae3
from papers.one_class import (
    Fit,
    Images,
    denoising,
    over_classes,
    pca,
    pixels,
    principal,
    scored_by,
)
from papers.reconstruction import keras_clean, keras_noisy, vae
from papers.training import Row, Run

__all__ = ["ROWS", "Row", "Run"]

ERROR = RelativeError()
BOTH = Combined([RelativeError(standardize=True), Neighbors(5)])


def one_class(
    images: Images, title: str, aim: float, floor: float, fit: Fit, what: str, scorer: Scorer
) -> Iterator[Row]:
    """Yield the rows of one class against nine: ours and three for comparison."""
    compared = "for comparison"
    for suffix, source, method, detector in (
        ("", "aim of this project; floor: PCA", what, scored_by(fit, scorer)),
        ("_principal", compared, "32 principal components, the same score",
         scored_by(principal, scorer)),
        ("_pca", compared, "32 principal components, squared error", pca),
        ("_knn", compared, "distance to the 5 nearest images", pixels),
    ):  # fmt: skip
        name, shown = f"one_class_{images}{suffix}", f"one class of {title} against nine: {method}"
        measure = over_classes(images, detector)
        yield Row(name, shown, source, aim, floor, "% AUROC", measure, lower=False)


ROWS = [
    Row("sdae3", "stacked denoising, fine-tuned: test error on MNIST",
        "Vincent et al. 2010, SDAE-3", 1.28, 1.40, "%", sdae3),
    Row("cae", "contractive, one layer of 1,000, fine-tuned: test error on MNIST",
        "Rifai et al. 2011, CAE", 1.14, 1.30, "%", cae),
    Row("vae", "variational on binarised MNIST: -log p(x), 200 importance samples",
        "aim of this project", 89.8, 92.0, "nats", vae),
    Row("keras_clean", "convolutional, 26k weights (theirs: 28k): cross-entropy on MNIST",
        "Keras blog, Building Autoencoders", 0.0622, 0.0622, "nats", keras_clean),
    Row("keras_noisy", "convolutional, 28k weights: from noise of sd 0.4, clipped to [0, 1]",
        "Keras documentation, convolutional autoencoder", 0.0839, 0.0839, "nats", keras_noisy),
    Row("knn8", "kNN (k = 7) on MNIST codes of size 8: accuracy",
        "aim of this project; PCA 89.9", 92.0, 92.0, "%", knn("mnist", 8), lower=False),
    Row("knn16", "kNN on MNIST codes of size 16: accuracy",
        "aim of this project; PCA 96.4", 96.5, 96.5, "%", knn("mnist", 16), lower=False),
    Row("knn8_fashion", "kNN on Fashion-MNIST codes of size 8: accuracy",
        "aim of this project", 80.0, 80.0, "%", knn("fashion_mnist", 8), lower=False),
    Row("knn16_fashion", "kNN on Fashion-MNIST codes of size 16: accuracy",
        "aim of this project", 83.6, 83.6, "%", knn("fashion_mnist", 16), lower=False),
    *one_class("mnist", "MNIST", 97.5, 95.5,
               denoising(0.8), "denoising, blurred relative error", ERROR),
    *one_class("fashion_mnist", "Fashion-MNIST", 93.5, 90.5,
               denoising(0.4), "denoising, blurred relative error and nearest codes", BOTH),
]  # fmt: skip
