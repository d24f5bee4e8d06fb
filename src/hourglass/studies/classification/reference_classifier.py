"""A classifier of real images, to evaluate generated images by its features and classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hourglass.core.atomic import atomic_file
from hourglass.core.checksums import (
    CORRUPT_FILE_ERRORS,
    file_checksums,
    read_with_checksum,
    verify_checksums,
    write_with_checksum,
)
from hourglass.core.errors import UserError, one_line
from hourglass.data.prepared_data import Prepared
from hourglass.detection.inference import batched
from hourglass.networks import Convolutional

FEATURES, CHANNELS = 64, (32, 64, 64)  # of the encoder
EPOCHS, LEARNING_RATE, BATCH_SIZE, DROPOUT = 4, 2e-3, 128, 0.3
SPEC, WEIGHTS = "classifier.json", "classifier.safetensors"


class RealClassifier(nn.Module):
    """A linear layer on the features of a convolutional encoder.

    `class_names` are in the order of the logits. The encoder is that of a `networks.Convolutional`
    with the arguments `convolutional`.
    """

    def __init__(self, class_names: Sequence[str], **convolutional: Any) -> None:
        super().__init__()
        network = Convolutional(**convolutional)
        self.class_names, self.init_args = [*class_names], network.init_args
        self.encoder = network.encoder
        self.head = nn.Linear(network.latent_dim, len(self.class_names))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the classes: (N, C, H, W) -> (N, classes)."""
        return self.head(self.encoder(x))

    def features(self, x: np.ndarray) -> np.ndarray:
        """Return the input of the last layer for scaled images: (N, C, H, W) -> (N, 64) float32."""
        return batched(self, self.encoder, x)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the indices of the most likely classes of scaled images: (N, C, H, W) -> (N,)."""
        return batched(self, lambda batch: self(batch).argmax(1), x)

    def write(self, folder: Path) -> None:
        """Write the two files that `load` reads."""
        weights = {key: value.contiguous().cpu() for key, value in self.state_dict().items()}
        with atomic_file(folder / WEIGHTS) as temporary:
            save_file(weights, temporary)
        init_args = {"class_names": self.class_names, **self.init_args}
        files = file_checksums(folder, [WEIGHTS])
        write_with_checksum(folder / SPEC, {"init_args": init_args, "files": files})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a classifier in evaluation mode; loading executes no code from the files.

        Raises a UserError if a file is missing or damaged.
        """
        try:
            spec = read_with_checksum(folder / SPEC)
            verify_checksums(folder, {WEIGHTS: spec["files"][WEIGHTS]})
            classifier = cls(**spec["init_args"])
            classifier.load_state_dict(load_file(folder / WEIGHTS))
        except (*CORRUPT_FILE_ERRORS, SafetensorError) as error:
            raise UserError(
                f"{folder} holds no usable classifier ({one_line(error)}); train it again."
            ) from None
        return classifier.eval().requires_grad_(False)


def train_classifier(prepared: Prepared, seed: int) -> tuple[RealClassifier, float]:
    """Train a classifier on the normal images of a data set; return it and its test accuracy.

    Validation and calibration images select the epoch. The same seed gives the same weights. Raises
    a UserError for images of a single class.
    """
    # Imported here, so that loading a classifier does not import the code of the training.
    from hourglass.studies.classification.fine_tuning import FineTuning, fine_tune
    from hourglass.studies.classification.labelled_splits import class_names, read_labelled_splits

    splits = read_labelled_splits(prepared, seed)
    settings = FineTuning(EPOCHS, LEARNING_RATE, BATCH_SIZE, dropout=DROPOUT, seed=seed)
    torch.manual_seed(seed)
    network = Convolutional(prepared.sample_shape, FEATURES, CHANNELS, code_activation="relu")
    result = fine_tune(network, prepared.scaling, splits, settings)
    classifier = RealClassifier(class_names(prepared), **network.init_args)
    classifier.encoder.load_state_dict(result.classifier.network.encoder.state_dict())
    classifier.head.load_state_dict(result.classifier.head.state_dict())
    return classifier.eval().requires_grad_(False), 1 - result.test_error
