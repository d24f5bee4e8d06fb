"""The rows of scripts/reproduce.py: what is trained, and what of it is measured."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional

from hourglass import resuming, training
from hourglass.classification import labelled
from hourglass.classification.features import flat
from hourglass.classification.finetune import finetune
from hourglass.classification.softmax import FineTuning
from hourglass.configuration import import_class, resolve
from hourglass.data.datamodule import DataModule
from hourglass.data.packed import Prepared
from hourglass.models.base import LitAutoencoder
from hourglass.models.convolutional import Convolutional
from hourglass.models.variational import Variational
from hourglass.settings import CellSettings, Training
from hourglass.workspace import prepared_folder


@dataclass(frozen=True)
class Run:
    """One measurement: its seed, and which share of the epochs it takes."""

    seed: int
    share: float

    def epochs(self, full: int) -> int:
        """Return how many epochs to train."""
        return max(1, round(full * self.share))


@dataclass(frozen=True)
class Row:
    """One line of the page: a published figure, the least that ours must reach, and ours."""

    name: str
    what: str
    source: str
    theirs: float
    floor: float
    unit: str
    measure: Callable[[Run], float]
    lower: bool = True  # is better


def settings_of(
    name: str, class_path: str, init_args: dict[str, Any], plan: Training, run: Run, data: str
) -> CellSettings:
    """Return the settings of one training; `plan` has its full number of epochs."""
    kind = import_class(class_path, LitAutoencoder, name)
    return CellSettings(
        data=data,
        model=name,
        class_path=class_path,
        init_args=resolve(kind, init_args, name, {"sample_shape": [1, 28, 28]}),
        training=replace(plan, max_epochs=run.epochs(plan.max_epochs)),
        trainer={"accelerator": "auto", "devices": 1},
        seed=run.seed,
    )


def trained(settings: CellSettings, module: LitAutoencoder, whole: bool = True) -> LitAutoencoder:
    """Train a module, phases first; without `whole` nothing but the phases."""
    folder = Path("checkpoints", f"{settings.data}-{settings.model}-{settings.seed}")
    sha256 = Prepared.open(prepared_folder(settings.data)).card["sha256"]
    resuming.take_up(folder, settings, sha256)
    data = DataModule(settings.data, settings.training.batch_size, settings.seed)
    training.pretrain(settings, folder, None, module, data)
    if whole:
        trainer, history = training.make_trainer(settings, folder, None)
        training.fit(trainer, history, module, data)
    return module.eval()


def parts_of(data: str, seed: int) -> tuple[Prepared, labelled.Parts]:
    """Return a data set and its labelled samples."""
    prepared = Prepared.open(prepared_folder(data))
    return prepared, labelled.read(prepared, seed)


def _test_error(module: LitAutoencoder, run: Run) -> float:
    """Return the test error in % of a softmax layer on the encoder, all of it fine-tuned.

    The epoch with the fewest errors on the validation images counts, of all of them: under so much
    noise the error still falls after it has not for many epochs.
    """
    prepared, parts = parts_of("mnist", run.seed)
    epochs = run.epochs(60)
    settings = FineTuning(
        epochs, learning_rate=3e-3, patience=epochs, dropout=0.5, masking=0.2, seed=run.seed
    )
    return 100 * finetune(module.network, prepared.scaling, parts, settings).test_error


def sdae3(run: Run) -> float:
    """Stack three denoising layers of 1,000 units and fine-tune them."""
    init_args = {
        "latent_dim": 1000,
        "hidden": [1000, 1000],
        "masking": 0.25,
        "loss": "bce",
        "tied": True,
        "learning_rate": 1e-3,
        "pretrain_epochs": run.epochs(20),
    }
    kind = "hourglass.models.stacked.Stacked"
    settings = settings_of("sdae3", kind, init_args, Training(256, 1, 20), run, "mnist")
    module = trained(settings, training.make_module(settings), whole=False)
    return _test_error(module, run)


def cae(run: Run) -> float:
    """Contract one layer of 1,000 units and fine-tune it."""
    init_args = {"latent_dim": 1000, "contraction": 0.1, "loss": "bce", "learning_rate": 1e-3}
    kind = "hourglass.models.contractive.Contractive"
    settings = settings_of("cae", kind, init_args, Training(256, 30, 30), run, "mnist")
    module = trained(settings, training.make_module(settings))
    return _test_error(module, run)


class Binarised(Variational):
    """Train on pixels drawn anew as coins of their brightness (Burda et al. 2016)."""

    def training_loss(self, x: torch.Tensor) -> torch.Tensor:
        """Return the negative bound of the coins."""
        return super().training_loss(torch.bernoulli(x))


def vae(run: Run) -> float:
    """Train a VAE on binarised digits; return -log p in nats, 200 importance samples."""
    init_args = {
        "latent_dim": 50,
        "hidden": [200, 200],
        "activation": "tanh",
        "loss": "bce",
        "learning_rate": 1e-3,
    }
    kind = "hourglass.models.variational.Variational"
    settings = settings_of("vae", kind, init_args, Training(128, 150, 50), run, "mnist")
    torch.manual_seed(run.seed)
    module = trained(settings, Binarised(**settings.init_args | {"sample_shape": [1, 28, 28]}))
    x = torch.bernoulli(_test_images("mnist"), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = [module.network.log_likelihood(each, 200) for each in x.split(1000)]  # type: ignore[operator]
    return -float(torch.cat(found).mean())


def _test_images(data: str) -> torch.Tensor:
    """Return the official test images, scaled: (10,000, 1, 28, 28)."""
    prepared, parts = parts_of(data, 0)
    return torch.from_numpy(prepared.scaling(np.asarray(parts.test.x)))


class Keras(Convolutional):
    """Learn from, and be judged by, noisy pixels cut off at black and white, as Keras' example."""

    def corrupt(self, x: torch.Tensor) -> torch.Tensor:
        """Return noisy images in [0, 1]: (N, 1, 28, 28) -> (N, 1, 28, 28)."""
        return super().corrupt(x).clamp(0, 1)

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of what is made of the noisy images: (N, 1, 28, 28) -> (N,)."""
        found = functional.binary_cross_entropy(self(self.corrupt(x)), x, reduction="none")
        return found.mean((1, 2, 3))


def _keras(name: str, noise: float, epochs: int, run: Run) -> float:
    """Return the cross-entropy of a convolutional autoencoder of 26k weights on test images."""
    init_args = {
        "channels": [32, 44],
        "projection": False,
        "loss": "bce",
        "noise_factor": noise,
        "learning_rate": 3e-3,
    }
    kind = "hourglass.models.convolutional.Convolutional"
    plan = Training(128, epochs, epochs)
    settings = settings_of(name, kind, init_args, plan, run, "mnist")
    torch.manual_seed(run.seed)
    module = trained(settings, Keras(**settings.init_args | {"sample_shape": [1, 28, 28]}))
    torch.manual_seed(0)
    with torch.inference_mode():
        found = [module.score(x) for x in _test_images("mnist").split(1000)]
    return float(torch.cat(found).mean())


def keras_clean(run: Run) -> float:
    """Reconstruct clean digits."""
    return _keras("keras_clean", 0.0, 20, run)


def keras_noisy(run: Run) -> float:
    """Reconstruct digits from clipped noise of standard deviation 0.4."""
    return _keras("keras_noisy", 0.4, 60, run)


def knn(data: str, latent_dim: int) -> Callable[[Run], float]:
    """Return a function that measures the accuracy in % of kNN (k = 7) on codes."""

    def measure(run: Run) -> float:
        init_args = {
            "latent_dim": latent_dim,
            "hidden": [512, 256],
            "activation": "gelu",
            "loss": "bce",
            "noise_factor": 0.3,
            "learning_rate": 1e-3,
        }
        kind = "hourglass.models.denoising.Denoising"
        name = f"knn{latent_dim}"
        settings = settings_of(name, kind, init_args, Training(256, 20, 20), run, data)
        module = trained(settings, training.make_module(settings))
        prepared, parts = parts_of(data, run.seed)
        codes = flat(module.network, prepared.scaling, parts)
        neighbours = KNeighborsClassifier(7, n_jobs=-1).fit(codes.train.x, codes.train.y)
        return 100 * float(neighbours.score(codes.test.x, codes.test.y))

    return measure


ROWS = [
    Row("sdae3", "stacked denoising, fine-tuned: test error on MNIST",
        "Vincent et al. 2010, SDAE-3", 1.28, 1.40, "%", sdae3),
    Row("cae", "contractive, one layer of 1,000, fine-tuned: test error on MNIST",
        "Rifai et al. 2011, CAE", 1.14, 1.30, "%", cae),
    Row("vae", "variational on binarised MNIST: -log p(x), 200 importance samples",
        "aim of this project", 89.8, 92.0, "nats", vae),
    Row("keras_clean", "convolutional, 26k weights (theirs: 28k): cross-entropy on MNIST",
        "Keras blog, Building Autoencoders", 0.0622, 0.0622, "nats", keras_clean),
    Row("keras_noisy", "the same from noise of standard deviation 0.4, clipped to [0, 1]",
        "Keras documentation, convolutional autoencoder", 0.0839, 0.0839, "nats", keras_noisy),
    Row("knn8", "kNN (k = 7) on MNIST codes of size 8: accuracy",
        "aim of this project; PCA 89.9", 92.0, 92.0, "%", knn("mnist", 8), lower=False),
    Row("knn16", "kNN on MNIST codes of size 16: accuracy",
        "aim of this project; PCA 96.4", 96.5, 96.5, "%", knn("mnist", 16), lower=False),
    Row("knn8_fashion", "kNN on Fashion-MNIST codes of size 8: accuracy",
        "aim of this project", 80.0, 80.0, "%", knn("fashion_mnist", 8), lower=False),
    Row("knn16_fashion", "kNN on Fashion-MNIST codes of size 16: accuracy",
        "aim of this project", 83.6, 83.6, "%", knn("fashion_mnist", 16), lower=False),
]  # fmt: skip
