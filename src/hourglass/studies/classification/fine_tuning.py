"""Fine-tuning: joint training of an encoder and a softmax layer on its latent code."""

import copy
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR

from hourglass.core.errors import UserError
from hourglass.data.batches import Scaled
from hourglass.data.scaling import Encoding
from hourglass.detection.inference import batched, best_device
from hourglass.models import corruption
from hourglass.networks import Network
from hourglass.studies.classification.labelled_splits import LabelledSamples, LabelledSplits
from hourglass.training.cpu_tuning import tune_cpu

LEAST_STEPS = 50  # per epoch; a small training set is repeated


@dataclass(frozen=True)
class FineTuning:
    """Settings of fine-tuning.

    - `epochs`: maximum number of epochs, over which the learning rate decays to 0.
    - `patience`: epochs without a lower validation error after which the training stops.
    - `masking`: probability of setting an input element to 0, in training only.
    - `dropout`: probability of dropping a unit of the code, in training only.
    """

    epochs: int = 30
    learning_rate: float = 1e-3
    batch_size: int = 256
    patience: int = 10
    dropout: float = 0.0
    masking: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise UserError(f"epochs is {self.epochs}, but must be at least 0.")
        if not self.learning_rate > 0:  # also rejects NaN
            raise UserError(f"learning_rate is {self.learning_rate}, but must be above 0.")


class SoftmaxClassifier(nn.Module):
    """A copy of a network's encoder, and a linear layer with dropout on its latent code."""

    def __init__(self, network: Network, classes: int, dropout: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(math.prod(network.code_shape), classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the classes: (N, *S) -> (N, classes)."""
        return self.head(self.dropout(self.network.encode_flat(x)))


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned classifier, its error rates in [0, 1], and its best epoch, counted from 0."""

    classifier: SoftmaxClassifier
    validation_error: float
    test_error: float
    epoch: int


def fine_tune(
    network: Network,
    scaling: Encoding,
    splits: LabelledSplits,
    settings: FineTuning = FineTuning(),
) -> FineTuned:
    """Train a softmax layer jointly with a copy of the encoder, on unscaled samples.

    The result has the weights of the first epoch with the lowest validation error. The same
    arguments give byte-identical weights. Raises a UserError if the loss is not finite.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required for determinism on a GPU
    torch.use_deterministic_algorithms(True)
    device = best_device()
    torch.manual_seed(settings.seed)  # for initial weights, dropout and masking
    classes = int(splits.train.y.max()) + 1
    classifier = SoftmaxClassifier(network, classes, settings.dropout).to(device)
    # The decoder has no gradient, so it stays unchanged.
    optimizer = torch.optim.Adam(classifier.parameters(), settings.learning_rate, fused=True)
    schedule = CosineAnnealingLR(optimizer, max(1, settings.epochs))
    batches = TrainingBatches(splits.train, scaling, device, settings)
    best_epoch, best_weights, lowest = 0, copy.deepcopy(classifier.state_dict()), math.inf
    with tune_cpu(device, settings.batch_size * splits.train.x[0].size):
        for epoch in range(settings.epochs):
            loss = train_epoch(classifier, batches, optimizer, settings.masking)
            if not math.isfinite(loss):
                raise UserError(
                    f"the loss of fine-tuning became {loss} in epoch {epoch}; lower learning_rate "
                    f"(now {settings.learning_rate})."
                )
            schedule.step()
            error = error_share(classifier, splits.validation, scaling)
            if error < lowest:
                best_epoch, best_weights = epoch, copy.deepcopy(classifier.state_dict())
                lowest = error
            elif epoch - best_epoch >= settings.patience:
                break
    classifier.load_state_dict(best_weights)
    validation_error = error_share(classifier, splits.validation, scaling)
    test_error = error_share(classifier, splits.test, scaling)
    return FineTuned(classifier, validation_error, test_error, best_epoch)


def train_epoch(
    classifier: SoftmaxClassifier,
    batches: "TrainingBatches",
    optimizer: torch.optim.Optimizer,
    masking: float,
) -> float:
    """Train for one epoch; return the sum of the mean cross-entropies of all batches."""
    classifier.train()
    total = torch.zeros((), device=batches.y.device)  # reading it per step would stall a GPU
    for x, y in batches:
        x = corruption.masking(x, masking) if masking else x
        loss = functional.cross_entropy(classifier(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return float(total)


class TrainingBatches:
    """Shuffled batches of scaled samples and class indices, on the device of the training.

    Passes over the samples are repeated until an epoch has LEAST_STEPS batches. Batch sizes
    differ by at most one, so that no batch is too small for batch normalisation.
    """

    def __init__(
        self,
        samples: LabelledSamples,
        scaling: Encoding,
        device: torch.device,
        settings: FineTuning,
    ) -> None:
        self.x, self.y = (torch.from_numpy(a).to(device) for a in (samples.x, samples.y))
        self.scaled = Scaled(scaling, device)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.steps = math.ceil(len(samples) / settings.batch_size)  # per pass
        self.passes = math.ceil(LEAST_STEPS / self.steps)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch: (n, *S) float32 and (n,) int64."""
        for _ in range(self.passes):
            order = torch.randperm(len(self.y), generator=self.generator).to(self.y.device)
            for rows in order.tensor_split(self.steps):
                yield self.scaled(self.x.index_select(0, rows)), self.y.index_select(0, rows)


def error_share(
    classifier: SoftmaxClassifier, samples: LabelledSamples, scaling: Encoding
) -> float:
    """Return the share of misclassified unscaled samples, in [0, 1]; switch to evaluation mode."""
    logits = batched(classifier.eval(), classifier, scaling(samples.x))
    return float((logits.argmax(1) != samples.y).mean())
