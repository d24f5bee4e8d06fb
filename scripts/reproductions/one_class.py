"""Rows of the one-class protocol: trained on one class of ten, the other nine are anomalies.

Each figure is the AUROC in % on all 10,000 official test images, the mean over the ten classes. A
training that was killed goes on from its last epoch, and the classes before it are not trained
anew.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from sklearn.decomposition import PCA

from hourglass.data.prepared import Prepared
from hourglass.detection.scorers import Scorer
from hourglass.detection.scoring import FittedScorer
from hourglass.evaluation import baselines, metrics
from hourglass.evaluation.baselines import flat
from hourglass.networks import Dense, Network
from hourglass.training.cell_settings import Training
from hourglass.training.trainer import make_module
from reproductions.common import Run, settings_of, trained
from reproductions.one_class_data import PUBLISHERS, Images, prepared

Fit: TypeAlias = Callable[[Prepared, Run], Network]
# Of a data set to the scores of its test images, (10,000,).
Detector: TypeAlias = Callable[[Prepared, Run], np.ndarray]

COMPONENTS = 32


def over_classes(images: Images, detector: Detector) -> Callable[[Run], float]:
    """Return a function that measures the mean AUROC in % of ten detectors, one a class."""

    def measure(run: Run) -> float:
        found = []
        for normal, name in enumerate(PUBLISHERS[images].classes):
            data = prepared(images, normal)
            scores, anomaly = detector(data, run), data.split("test").anomaly
            found.append(100 * metrics.detection(scores, anomaly, intervals=False)["AUROC"])
            print(f"  {name} is normal: {found[-1]:.2f} % AUROC", flush=True)
        return float(np.mean(found))

    return measure


def scored_by(fit: Fit, scorer: Scorer) -> Detector:
    """Return the detector that scores by what a network makes of an image."""

    def detector(data: Prepared, run: Run) -> np.ndarray:
        scoring = FittedScorer.fit(fit(data, run), data.scaling, scorer, data.split("train").x)
        return scoring(data.split("test").x)

    return detector


def denoising(noise_factor: float) -> Fit:
    """Return the function that trains a denoising autoencoder, the same way for all ten classes.

    Settings and scores of an image set were chosen by AUROC on its training images, with seed 1: a
    tenth of a class, held out, against 300 of each other one.
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
    """Return the linear autoencoder of 32 principal components, which needs no training."""
    fitted = PCA(COMPONENTS, svd_solver="covariance_eigh").fit(flat(data, data.split("train").x))
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
    score = baselines.pca(flat(data, data.split("train").x), COMPONENTS)
    return score(flat(data, data.split("test").x))


def pixels(data: Prepared, run: Run) -> np.ndarray:
    """Return the distances to the 5 nearest training images, the same for all seeds."""
    score = baselines.neighbors(flat(data, data.split("train").x), run.seed)
    return score(flat(data, data.split("test").x))
