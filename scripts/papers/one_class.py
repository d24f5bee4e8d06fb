"""The one-class protocol: train on one class of ten; the other nine are anomalies.

Each figure is the AUROC in % on all 10,000 official test images, averaged over the ten classes.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
import yaml
from common import prepare_missing
from sklearn.decomposition import PCA

from hourglass.core.paths import CONFIGS, prepared_folder
from hourglass.data.base import DataSet, Fractions, Raw
from hourglass.data.image_sets import ARTICLES, DIGITS, load_images
from hourglass.data.prepared_data import Prepared
from hourglass.detection.scorers import Scorer
from hourglass.detection.scoring import FittedScorer
from hourglass.evaluation import baselines, metrics
from hourglass.evaluation.baselines import scaled_vectors
from hourglass.networks import Dense, Network
from hourglass.training.cell_settings import Training
from hourglass.training.trainer import make_module
from papers.training import Run, settings_of, trained

Images: TypeAlias = Literal["mnist", "fashion_mnist"]
PUBLISHERS = {"mnist": DIGITS, "fashion_mnist": ARTICLES}
FRACTIONS = Fractions(train=0.9, validation=0.05, calibration=0.04, tuning=0.01, test=0.0)


class OneClass(DataSet):
    """An image set with one normal class: (N, 1, 28, 28) uint8; 70,000.

    The publisher's test part is the test split.
    """

    def __init__(self, images: Images, normal: int, fractions: Fractions = FRACTIONS) -> None:
        super().__init__(fractions=fractions)
        self.images: Images = images
        self.normal = normal

    def load(self, folder: Path) -> Raw:
        """Return all classes of the set; download missing files below `folder`."""
        publisher = PUBLISHERS[self.images]
        raw = load_images(publisher, folder)
        return replace(raw, anomaly=raw.label != publisher.classes[self.normal])


def prepared(images: Images, normal: int) -> Prepared:
    """Return the data set of one normal class; prepare it if that is missing."""
    data = f"{images}_class_{normal}"
    init_args = {"images": images, "normal": normal, "fractions": asdict(FRACTIONS)}
    config = {"class_path": f"{__name__}.OneClass", "init_args": init_args}
    path = CONFIGS / "data" / f"{data}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    prepare_missing(data)
    return Prepared.open(prepared_folder(data))


Fit: TypeAlias = Callable[[Prepared, Run], Network]
# Data set -> scores of its test images, (10,000,).
Detector: TypeAlias = Callable[[Prepared, Run], np.ndarray]

COMPONENTS = 32


def over_classes(images: Images, detector: Detector) -> Callable[[Run], float]:
    """Return a function that measures the mean AUROC in % of ten detectors, one per class."""

    def measure(run: Run) -> float:
        aurocs = []
        for normal, name in enumerate(PUBLISHERS[images].classes):
            data = prepared(images, normal)
            scores, anomaly = detector(data, run), data.split("test").anomaly
            aurocs.append(100 * metrics.detection(scores, anomaly, intervals=False)["AUROC"])
            print(f"  {name} is normal: {aurocs[-1]:.2f} % AUROC", flush=True)
        return float(np.mean(aurocs))

    return measure


def scored_by(fit: Fit, scorer: Scorer) -> Detector:
    """Return the detector that applies a scorer to a network."""

    def detector(data: Prepared, run: Run) -> np.ndarray:
        scoring = FittedScorer.fit(fit(data, run), data.scaling, scorer, data.split("train").x)
        return scoring(data.split("test").x)

    return detector


def denoising(noise_factor: float) -> Fit:
    """Return the function that trains a denoising autoencoder, with the same settings per class.

    The settings and scores were chosen by AUROC on training images with seed 1: a held-out tenth of
    a class against 300 images of each other class.
    """

    def fit(data: Prepared, run: Run) -> Network:
        init_args = {
            "latent_dim": 64,
            "hidden": [256, 128],
            "activation": "gelu",
            "loss": "bce",
            "noise_factor": noise_factor,
            "learning_rate": 1e-3,
        }
        kind, plan = "hourglass.models.denoising.Denoising", Training(128, 40, 40)
        settings = settings_of("one_class", kind, init_args, plan, run, data.card["data"])
        return trained(settings, make_module(settings)).network.requires_grad_(False)

    return fit


def principal(data: Prepared, run: Run) -> Network:
    """Return the linear autoencoder of 32 principal components."""
    fitted = PCA(COMPONENTS, svd_solver="covariance_eigh").fit(
        scaled_vectors(data, data.split("train").x)
    )
    components, mean = torch.from_numpy(fitted.components_), torch.from_numpy(fitted.mean_)
    network = Dense(data.sample_shape, COMPONENTS)
    network.load_state_dict(
        {
            "encoder.1.weight": components,
            "encoder.1.bias": -components @ mean,
            "decoder.0.weight": components.T,
            "decoder.0.bias": mean,
        }
    )
    return network.requires_grad_(False)


def pca(data: Prepared, run: Run) -> np.ndarray:
    """Return the squared errors of 32 principal components, the same for all seeds."""
    score = baselines.pca(scaled_vectors(data, data.split("train").x), COMPONENTS)
    return score(scaled_vectors(data, data.split("test").x))


def pixels(data: Prepared, run: Run) -> np.ndarray:
    """Return the distances to the 5 nearest training images, the same for all seeds."""
    score = baselines.neighbors(scaled_vectors(data, data.split("train").x), run.seed)
    return score(scaled_vectors(data, data.split("test").x))
