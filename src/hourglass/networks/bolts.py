"""The ResNet autoencoders of lightning-bolts, for images of any size with 1 or 3 channels."""

import importlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.networks.base import Network, constructor_arguments, is_image

FEATURE_WIDTHS = {"resnet18": 512, "resnet50": 2048}  # elements per sample
# Without dependencies, as it requires an older pytorch-lightning, although newer ones work.
INSTALL = "pip install --no-deps lightning-bolts==0.7.0"
MIN_SIDE_PIXELS = 16  # below, the last batch norm gets one value per channel for a single sample


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the warnings of bolts that its classes are under review.

    The warnings are recorded and discarded. An "ignore" filter would have no effect, because bolts
    sets a filter of its own at import.
    """
    with warnings.catch_warnings(record=True):
        yield


def bolts(module: str) -> Any:
    """Import a module of pl_bolts 0.7.0.

    pl_bolts imports a module of pytorch-lightning 1.x that has since moved to another package; the
    old name is made an alias of the new one. Raises a UserError if pl_bolts is not installed.
    """
    moved = importlib.import_module("lightning_utilities.core.apply_func")
    sys.modules.setdefault("pytorch_lightning.utilities.apply_func", moved)
    try:
        with quiet():
            return importlib.import_module(f"pl_bolts.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pl_bolts":
            raise
        raise UserError(f"lightning-bolts is not installed; run `{INSTALL}`.") from None


class Bolts(Network):
    """Wrap the autoencoder of bolts, `kind` "AE" or "VAE".

    The latent code of the VAE is the posterior mean. The networks of bolts require square images
    with three channels and a side divisible by 8. Grey images are repeated over the channels at the
    input and averaged at the output. All images are zero-padded at the input and cropped at the
    output, so the padding does not count in errors.

    Raises a UserError for vectors, and for images that do not have 1 or 3 channels.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int,
        kind: Literal["AE", "VAE"] = "AE",
        enc_type: Literal["resnet18", "resnet50"] = "resnet18",
    ) -> None:
        super().__init__(**constructor_arguments(locals()))
        if not is_image(sample_shape) or sample_shape[0] not in (1, 3):
            raise UserError(
                f"a sample is {'x'.join(map(str, sample_shape))}, but bolts' models take images "
                "with 1 or 3 channels only."
            )
        height, width = sample_shape[1:]
        side = max(MIN_SIDE_PIXELS, math.ceil(max(height, width) / 8) * 8)
        left, top = (side - width) // 2, (side - height) // 2
        self.padding = (left, side - width - left, top, side - height - top)
        model: Callable[..., Any] = getattr(bolts("models.autoencoders"), kind)
        with quiet():
            autoencoder = model(
                side, enc_type, enc_out_dim=FEATURE_WIDTHS[enc_type], latent_dim=latent_dim
            )
        self.encoder, self.decoder = autoencoder.encoder, autoencoder.decoder
        self.mean = autoencoder.fc if kind == "AE" else autoencoder.fc_mu
        if kind == "VAE":
            self.log_var = autoencoder.fc_var

    def features(self, x: Tensor) -> Tensor:
        """Return the features of the ResNet: (N, C, H, W) -> (N, FEATURE_WIDTHS[enc_type])."""
        x = functional.pad(x, self.padding)
        return self.encoder(x.expand(-1, 3, -1, -1))

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent codes: (N, C, H, W) -> (N, latent_dim)."""
        return self.mean(self.features(x))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior mean and log-variance: (N, C, H, W) -> (N, latent_dim) each."""
        features = self.features(x)
        return self.mean(features), self.log_var(features)

    def decode_logits(self, z: Tensor) -> Tensor:
        """Return the reconstructions of latent codes: (N, latent_dim) -> (N, C, H, W)."""
        output = functional.pad(self.decoder(z), [-pixels for pixels in self.padding])
        return output.mean(1, keepdim=True) if self.sample_shape[0] == 1 else output
