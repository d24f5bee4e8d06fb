"""Imported sparse dictionary: trained elsewhere, such as by SAELens, and used as it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from hourglass.core.errors import UserError
from hourglass.data.datamodule import DataModule
from hourglass.data.scaling import affine_constants
from hourglass.models.base import LitAutoencoder
from hourglass.networks.sae_files import WEIGHTS, read_dictionary, scaled_weights, set_weights
from hourglass.networks.sparse import SparseDictionary


class Imported(LitAutoencoder):
    """Take the weights from a file of SAELens; training is one epoch without updates.

    `weights` is the path of an `sae_weights.safetensors` with its `cfg.json` in the same folder,
    see `networks.sae_files`. The dictionary was trained on unscaled vectors, so the scaling of the
    data set is folded into its weights. Raises a UserError if the files cannot be used, or if
    samples have another number of elements.
    """

    def __init__(self, sample_shape: Sequence[int], weights: str = "") -> None:
        path = Path(weights)
        if path.name != WEIGHTS:
            raise UserError(f"weights is {weights!r}; give a file with the name {WEIGHTS}.")
        dictionary = read_dictionary(path.parent)
        inputs, units = dictionary.dictionary
        network = SparseDictionary(sample_shape, units, dictionary.sparsity, dictionary.k)
        if network.dictionary[0] != inputs:
            raise UserError(
                f"{weights} takes vectors of {inputs:,} elements, but a sample of this data set "
                f"has {network.dictionary[0]:,}."
            )
        super().__init__(network)
        self.dictionary = (dictionary,)  # a tuple, so that its weights are not part of this module

    def setup(self, stage: str) -> None:
        """Set the weights, with the scaling of the data set folded into them."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, DataModule)
        assert isinstance(self.network, SparseDictionary)
        constants = affine_constants(data.samples("train")[1], self.network.sample_shape)
        set_weights(self.network, scaled_weights(self.dictionary[0], *constants))

    def configure_optimizers(self) -> Any:
        """Return an optimizer that does not change the weights."""
        return torch.optim.Adam(self.parameters(), lr=0.0, fused=True)

    def on_train_epoch_end(self) -> None:
        """End the training after one epoch."""
        self.trainer.should_stop = True
