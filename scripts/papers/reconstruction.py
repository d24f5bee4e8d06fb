"""Reconstruction: the cross-entropy of pixels, and the likelihood of images."""

import torch
from torch.nn import functional

from hourglass.models.convolutional import Convolutional
from hourglass.models.variational import Variational
from hourglass.training.cell_settings import Training
from papers.training import Run, settings_of, test_images, trained


class Binarised(Variational):
    """Train on pixels sampled as Bernoulli variables of their brightness (Burda et al. 2016)."""

    def training_loss(self, x: torch.Tensor) -> torch.Tensor:
        """Return the negative bound of the sampled pixels."""
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
    settings = settings_of("vae", kind, init_args, Training(128, 400, 400), run, "mnist")
    torch.manual_seed(run.seed)
    module = trained(settings, Binarised(**settings.init_args | {"sample_shape": [1, 28, 28]}))
    x = torch.bernoulli(test_images("mnist"), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        log_p = [module.network.log_likelihood(each, 200) for each in x.split(1000)]  # type: ignore[operator]
    return -float(torch.cat(log_p).mean())


class Keras(Convolutional):
    """Train and evaluate on noisy pixels clipped to [0, 1], as in the Keras example."""

    def corrupt(self, x: torch.Tensor) -> torch.Tensor:
        """Return noisy images in [0, 1]: (N, 1, 28, 28) -> (N, 1, 28, 28)."""
        return super().corrupt(x).clamp(0, 1)

    def score(self, x: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of the restored images: (N, 1, 28, 28) -> (N,)."""
        losses = functional.binary_cross_entropy(self(self.corrupt(x)), x, reduction="none")
        return losses.mean((1, 2, 3))


def _keras(
    name: str, channels: list[int], noise: float, epochs: int, run: Run, stem: int = 0
) -> float:
    """Return the cross-entropy of a convolutional autoencoder on test images."""
    init_args = {
        "channels": channels,
        "projection": False,
        "stem": stem,
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
        losses = [module.score(x) for x in test_images("mnist").split(1000)]
    return float(torch.cat(losses).mean())


def keras_clean(run: Run) -> float:
    """Reconstruct clean digits."""
    return _keras("keras_clean", [32, 44], 0.0, 20, run)


def keras_noisy(run: Run) -> float:
    """Reconstruct digits from clipped noise of sd 0.4, with a larger receptive field."""
    return _keras("keras_noisy", [32, 32], 0.4, 40, run, stem=16)
