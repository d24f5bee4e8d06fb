"""Autoencoder variants, one LightningModule per file, with corruptions, penalties and schedules.

The variants are public names of this package, imported on first access. No variant imports another,
so a change to its file makes DVC re-run only the cells of that variant.

May import: networks, core.
"""

from typing import TYPE_CHECKING

from hourglass.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from hourglass.models.adversarial import Adversarial
    from hourglass.models.base import LitAutoencoder
    from hourglass.models.beta_tc import BetaTC
    from hourglass.models.bolts_ae import BoltsAE
    from hourglass.models.bolts_vae import BoltsVAE
    from hourglass.models.contractive import Contractive
    from hourglass.models.convolutional import Convolutional
    from hourglass.models.convolutional_denoising import ConvolutionalDenoising
    from hourglass.models.denoising import Denoising
    from hourglass.models.ensemble import Ensemble
    from hourglass.models.feature import Feature
    from hourglass.models.linear import Linear
    from hourglass.models.masked import Masked
    from hourglass.models.overcomplete import Overcomplete
    from hourglass.models.quantised import Quantised
    from hourglass.models.recurrent import Recurrent
    from hourglass.models.sparse import Sparse
    from hourglass.models.stacked import Stacked
    from hourglass.models.temporal import Temporal
    from hourglass.models.undercomplete import Undercomplete
    from hourglass.models.variational import Variational
    from hourglass.models.wasserstein import Wasserstein

_MODULES = {
    "Adversarial": "adversarial",
    "BetaTC": "beta_tc",
    "BoltsAE": "bolts_ae",
    "BoltsVAE": "bolts_vae",
    "Contractive": "contractive",
    "Convolutional": "convolutional",
    "ConvolutionalDenoising": "convolutional_denoising",
    "Denoising": "denoising",
    "Ensemble": "ensemble",
    "Feature": "feature",
    "Linear": "linear",
    "LitAutoencoder": "base",
    "Masked": "masked",
    "Overcomplete": "overcomplete",
    "Quantised": "quantised",
    "Recurrent": "recurrent",
    "Sparse": "sparse",
    "Stacked": "stacked",
    "Temporal": "temporal",
    "Undercomplete": "undercomplete",
    "Variational": "variational",
    "Wasserstein": "wasserstein",
}
# Variants by the name of their module and of their file in configs/model.
VARIANTS = {module: name for name, module in _MODULES.items() if name != "LitAutoencoder"}
__all__ = [
    "VARIANTS",
    "Adversarial",
    "BetaTC",
    "BoltsAE",
    "BoltsVAE",
    "Contractive",
    "Convolutional",
    "ConvolutionalDenoising",
    "Denoising",
    "Ensemble",
    "Feature",
    "Linear",
    "LitAutoencoder",
    "Masked",
    "Overcomplete",
    "Quantised",
    "Recurrent",
    "Sparse",
    "Stacked",
    "Temporal",
    "Undercomplete",
    "Variational",
    "Wasserstein",
]
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
