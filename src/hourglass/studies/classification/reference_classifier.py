"""A classifier of real images: its features and classes judge what is made up."""

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
from hourglass.data.prepared import Prepared
from hourglass.detection.inference import batched
from hourglass.networks import Convolutional

FEATURES, CHANNELS = 64, (32, 64, 64)
EPOCHS, LEARNING_RATE, BATCH_SIZE, DROPOUT = 4, 2e-3, 128, 0.3
FILES = ("classifier.json", "classifier.safetensors")


class RealClassifier(nn.Module):
    """Classify images by a linear layer on the features of a convolutional encoder.

    `class_names` are the classes in the order of the logits; `convolutional` are the arguments of
    networks.Convolutional, of which only the encoder is kept.
    """

    def __init__(self, class_names: Sequence[str], **convolutional: Any) -> None:
        super().__init__()
        network = Convolutional(**convolutional)
        self.class_names, self.init_args = [*class_names], network.init_args
        self.encoder = network.encoder
        self.head = nn.Linear(network.latent_dim, len(self.class_names))

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer sees of scaled images: (N, C, H, W) -> (N, 64)."""
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the classes: (N, C, H, W) -> (N, classes)."""
        return self.head(self.features(x))

    def classes(self, x: Tensor) -> Tensor:
        """Return the places of the likeliest classes in `class_names`: (N, C, H, W) -> (N,)."""
        return self(x).argmax(1)

    def write(self, folder: Path) -> None:
        """Write the two FILES that `load` reads."""
        weights = {key: each.contiguous().cpu() for key, each in self.state_dict().items()}
        with atomic_file(folder / FILES[1]) as temporary:
            save_file(weights, temporary)
        spec = {"class_names": self.class_names, **self.init_args}
        write_with_checksum(
            folder / FILES[0], {"init_args": spec, "files": file_checksums(folder, FILES[1:])}
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the classifier in a folder, in evaluation mode; nothing loaded can run code.

        Raises a UserError where either file is missing or they do not fit together.
        """
        try:
            spec = read_with_checksum(folder / FILES[0])
            verify_checksums(folder, {FILES[1]: spec["files"][FILES[1]]})
            classifier = cls(**spec["init_args"])
            classifier.load_state_dict(load_file(folder / FILES[1]))
        except (*CORRUPT_FILE_ERRORS, SafetensorError) as error:
            raise UserError(
                f"{folder} holds no usable classifier ({one_line(error)}); train it again."
            ) from None
        return classifier.eval().requires_grad_(False)


def features(classifier: RealClassifier, x: np.ndarray) -> np.ndarray:
    """Return the features of scaled images: (N, C, H, W) float32 -> (N, 64) float32."""
    return batched(classifier, classifier.features, x)


def classes(classifier: RealClassifier, x: np.ndarray) -> np.ndarray:
    """Return the likeliest classes, by name, of scaled images: (N, C, H, W) -> (N,) str."""
    return np.array(classifier.class_names)[batched(classifier, classifier.classes, x)]


def train_classifier(prepared: Prepared, seed: int) -> tuple[RealClassifier, float]:
    """Return a classifier of a data set's normal images, and its accuracy on those of test.

    It learns from the training split; validation and calibration choose the epoch. The same seed
    gives the same bytes. Raises a UserError for a table, and for images of a single class.
    """
    # The trainer's: whoever loads a classifier does not pay for Lightning.
    from hourglass.studies.classification.finetune import FineTuning, finetune
    from hourglass.studies.classification.labelled_subsets import names, read

    if prepared.card["feature_names"]:
        raise UserError(f"{prepared.card['data']} is a table, but this classifier takes images.")
    parts = read(prepared, seed)
    settings = FineTuning(EPOCHS, LEARNING_RATE, BATCH_SIZE, dropout=DROPOUT, seed=seed)
    torch.manual_seed(seed)
    network = Convolutional(prepared.sample_shape, FEATURES, CHANNELS, code_activation="relu")
    found = finetune(network, prepared.scaling, parts, settings)
    classifier = RealClassifier(names(prepared), **network.init_args)
    classifier.encoder.load_state_dict(found.classifier.network.encoder.state_dict())
    classifier.head.load_state_dict(found.classifier.head.state_dict())
    return classifier.eval().requires_grad_(False), 1 - found.test_error
