"""Rows of the one-class protocol: trained on one class of ten, the other nine are anomalies.

Each figure is the AUROC in % on all 10,000 official test images, the mean over the ten classes. A
training that was killed goes on from its last epoch, and the classes before it are not trained
anew.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch

from hourglass.baselines import PCAReconstruction
from hourglass.networks import Dense, Network
from hourglass.settings import Training
from hourglass.training import fitting
from reproductions.common import Run, settings_of, trained
from reproductions.one_class_data import PUBLISHERS, Images, Parts, parts_of
from reproductions.one_class_scores import Score, auroc, combined, neighbours, relative_error

Fit: TypeAlias = Callable[[Parts, Run], Network]
Detector: TypeAlias = Callable[[Parts, Run], Score]


def over_classes(images: Images, detector: Detector) -> Callable[[Run], float]:
    """Return a function that measures the mean AUROC in % of ten detectors, one a class."""

    def measure(run: Run) -> float:
        found = []
        for normal, name in enumerate(PUBLISHERS[images].classes):
            parts = parts_of(images, normal)
            score = detector(parts, run)
            found.append(auroc(score, parts.test, parts.anomaly))
            print(f"  {name} is normal: {found[-1]:.2f} % AUROC", flush=True)
        return float(np.mean(found))

    return measure


def by_error(fit: Fit) -> Detector:
    """Return the detector that scores by the blurred relative error of a network."""

    def detector(parts: Parts, run: Run) -> Score:
        return relative_error(fit(parts, run), parts.train)

    return detector


def by_error_and_code(fit: Fit) -> Detector:
    """Return the detector that combines that error, standardised, with the distance to codes."""

    def detector(parts: Parts, run: Run) -> Score:
        network = fit(parts, run)
        error = relative_error(network, parts.train, standardised=True)
        return combined((error, neighbours(network.encode, parts.train)), parts.held)

    return detector


def denoising(noise_factor: float) -> Fit:
    """Return the function that trains a denoising autoencoder, the same way for all ten classes.

    Settings and scores of an image set were chosen by AUROC on its training images, with seed 1: a
    tenth of a class, held out, against 300 of each other one.
    """

    def fit(parts: Parts, run: Run) -> Network:
        init_args = {
            "latent_dim": 64,
            "hidden": [256, 128],
            "activation": "gelu",
            "loss": "bce",
            "noise_factor": noise_factor,
            "learning_rate": 1e-3,
        }
        kind = "hourglass.models.denoising.Denoising"
        plan = Training(128, 40, 40)
        settings = settings_of("one_class", kind, init_args, plan, run, parts.data)
        return trained(settings, fitting.make_module(settings)).network.requires_grad_(False)

    return fit


def principal(parts: Parts, run: Run) -> Network:
    """Return the linear autoencoder of 32 principal components, which needs no training."""
    fitted = PCAReconstruction(parts.train.numpy(), 32).pca
    components, mean = torch.from_numpy(fitted.components_), torch.from_numpy(fitted.mean_)
    network = Dense(parts.train.shape[1:], 32)
    network.load_state_dict(
        {
            "encoder.1.weight": components,
            "encoder.1.bias": -components @ mean,
            "decoder.0.weight": components.T,
            "decoder.0.bias": mean,
        }
    )
    return network.requires_grad_(False)


def pca(parts: Parts, run: Run) -> Score:
    """Return the mean squared error of 32 principal components, the same for all seeds."""
    return principal(parts, run).score


def pixels(parts: Parts, run: Run) -> Score:
    """Return the distance to the 5 nearest training images, the same for all seeds."""
    return neighbours(lambda x: x.flatten(1), parts.train)
