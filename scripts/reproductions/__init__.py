"""The rows of scripts/reproduce.py: what is trained, and what of it is measured."""

from hourglass.scorers import Combined, Neighbors, RelativeError
from reproductions.classification import cae, knn, sdae3
from reproductions.common import Row, Run
from reproductions.one_class import denoising, over_classes, pca, pixels, principal, scored_by
from reproductions.reconstruction import keras_clean, keras_noisy, vae

__all__ = ["ROWS", "Row", "Run"]

ERROR = RelativeError()
BOTH = Combined([RelativeError(standardize=True), Neighbors(5)])
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
    Row("one_class_mnist",
        "one class of MNIST against nine: denoising, blurred relative error",
        "aim of this project; floor: PCA", 97.5, 95.5, "% AUROC",
        over_classes("mnist", scored_by(denoising(0.8), ERROR)), lower=False),
    Row("one_class_mnist_principal",
        "one class of MNIST against nine: 32 principal components, the same score",
        "to compare with", 97.5, 95.5, "% AUROC",
        over_classes("mnist", scored_by(principal, ERROR)), lower=False),
    Row("one_class_mnist_pca",
        "one class of MNIST against nine: 32 principal components, squared error",
        "to compare with", 97.5, 95.5, "% AUROC",
        over_classes("mnist", pca), lower=False),
    Row("one_class_mnist_knn",
        "one class of MNIST against nine: distance to the 5 nearest images",
        "to compare with", 97.5, 95.5, "% AUROC",
        over_classes("mnist", pixels), lower=False),
    Row("one_class_fashion_mnist",
        "one class of Fashion-MNIST against nine: denoising, that error and its code",
        "aim of this project; floor: PCA", 93.5, 90.5, "% AUROC",
        over_classes("fashion_mnist", scored_by(denoising(0.4), BOTH)), lower=False),
    Row("one_class_fashion_mnist_principal",
        "one class of Fashion-MNIST against nine: 32 principal components, the same score",
        "to compare with", 93.5, 90.5, "% AUROC",
        over_classes("fashion_mnist", scored_by(principal, BOTH)), lower=False),
    Row("one_class_fashion_mnist_pca",
        "one class of Fashion-MNIST against nine: 32 principal components, squared error",
        "to compare with", 93.5, 90.5, "% AUROC",
        over_classes("fashion_mnist", pca), lower=False),
    Row("one_class_fashion_mnist_knn",
        "one class of Fashion-MNIST against nine: distance to the 5 nearest images",
        "to compare with", 93.5, 90.5, "% AUROC",
        over_classes("fashion_mnist", pixels), lower=False),
]  # fmt: skip
