"""Fine-tuning: joint training of an encoder and a softmax layer on its latent code."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise, starmap
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.data.batches import Scaled
from hourglass.data.residency import Rows, batch_device, choose_residency
from hourglass.data.scaling import Scaling
from hourglass.detection.inference import batch_size, best_device
from hourglass.models import corruption
from hourglass.models.base import Module, plain_step
from hourglass.networks import Network
from hourglass.studies.classification.labelled_splits import LabelledSamples, LabelledSplits
from hourglass.studies.latent_space import code_shape
from hourglass.training.callbacks import MONITOR, StopOnPlateau
from hourglass.training.cpu_tuning import tune_cpu
from hourglass.training.trainer import bare_trainer


@dataclass(frozen=True)
class FineTuning:
    """Settings of fine-tuning.

    - `epochs`: maximum number of epochs.
    - `patience`: epochs without a lower validation error after which the training stops.
    - `masking`: probability of setting an input element to 0, in training only.
    - `dropout`: probability of dropping a unit of the code, in training only.
    - `cosine`: if true, the learning rate decays to 0 over `epochs`.
    - `least_steps`: minimum number of steps per epoch; a small training set is repeated.
    """

    epochs: int = 30
    learning_rate: float = 1e-3
    batch_size: int = 256
    patience: int = 10
    weight_decay: float = 0.0
    dropout: float = 0.0
    masking: float = 0.0
    cosine: bool = True
    least_steps: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        minima = {"epochs": 0, "batch_size": 1, "patience": 1, "least_steps": 1}
        for name, minimum in minima.items():
            if (value := getattr(self, name)) < minimum:
                raise UserError(f"{name} is {value}, but must be at least {minimum}.")
        # Comparisons with NaN are false: `not x > 0` rejects NaN, `x <= 0` would accept it.
        if not self.learning_rate > 0:
            raise UserError(f"learning_rate is {self.learning_rate}, but must be above 0.")
        if not self.weight_decay >= 0:
            raise UserError(f"weight_decay is {self.weight_decay}, but must be 0 or more.")
        for name in ("dropout", "masking"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise UserError(f"{name} is {value}, but must be at least 0 and below 1.")


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned classifier, its error rates in [0, 1], and its best epoch, counted from 0."""

    classifier: "SoftmaxClassifier"
    validation_error: float
    test_error: float
    epoch: int


def fine_tune(
    network: Network,
    scaling: Scaling,
    splits: LabelledSplits,
    settings: FineTuning = FineTuning(),
) -> FineTuned:
    """Train a softmax layer jointly with a copy of the encoder, on unscaled samples.

    The result has the weights of the epoch with the fewest validation errors. The same arguments
    give byte-identical weights. Raises a UserError if the loss is not finite.
    """
    device = best_device()
    classifier = SoftmaxClassifier(network, int(splits.train.y.max()) + 1, settings)
    batches = LabelledBatches(splits.train, scaling, device, settings)
    validation = LabelledBatches(splits.validation, scaling, device)
    test = LabelledBatches(splits.test, scaling, device)
    trainer = bare_trainer(
        accelerator=device.type,
        devices=1,
        max_epochs=settings.epochs,
        callbacks=[StopOnPlateau(settings.patience)],
        enable_checkpointing=False,  # the weights of the best epoch stay in memory
    )
    with tune_cpu(device, settings.batch_size * splits.train.x[0].size):
        trainer.fit(classifier, batches, validation)
    if classifier.best_state:
        classifier.load_state_dict(classifier.best_state)
    classifier.to(device).eval()
    errors = error_share(classifier, validation), error_share(classifier, test)
    return FineTuned(classifier, *errors, epoch=classifier.best_epoch)


class SoftmaxClassifier(Module):
    """A LightningModule: an encoder and a linear layer on its code, trained by cross-entropy."""

    _loss_sum: Tensor
    _errors: Tensor

    def __init__(self, network: Network, classes: int, settings: FineTuning) -> None:
        super().__init__()
        self.settings = settings
        size = math.prod(code_shape(network))
        self.network = copy.deepcopy(network).requires_grad_(True).train()
        self.dropout = nn.Dropout(settings.dropout)
        torch.manual_seed(settings.seed)  # for initial weights, dropout and masking
        self.head = nn.Linear(size, classes)
        self.best_state: dict[str, Tensor] = {}
        self.best_epoch, self.fewest_errors = 0, math.inf
        # Sums stay on the device until the epoch ends, because reading one synchronises the GPU.
        self.register_buffer("_loss_sum", torch.zeros(()), persistent=False)
        self.register_buffer("_errors", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the classes: (N, *S) -> (N, classes)."""
        return self.head(self.dropout(self.network.encode(x).flatten(1)))

    def on_train_epoch_start(self) -> None:
        """Reset the sum of losses."""
        self._loss_sum.zero_()

    @plain_step
    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the mean cross-entropy of a batch: scaled samples (N, *S), class indices (N,)."""
        x, y = batch
        if self.settings.masking:
            x = corruption.masking(x, self.settings.masking)
        loss = functional.cross_entropy(self(x), y)
        self._loss_sum.add_(loss.detach())
        return loss

    def on_train_epoch_end(self) -> None:
        """Raise a UserError if the loss is not finite."""
        if not self._loss_sum.isfinite():
            raise UserError(
                f"the loss of fine-tuning became {float(self._loss_sum)} in epoch "
                f"{self.current_epoch}; lower learning_rate (now {self.settings.learning_rate})."
            )

    def on_validation_epoch_start(self) -> None:
        """Reset the error count."""
        self._errors.zero_()

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Count the errors of one batch."""
        self._errors.add_(count_errors(self, *batch))

    def on_validation_epoch_end(self) -> None:
        """Log the error count; keep the weights of the first epoch with the fewest errors."""
        self.log(MONITOR, self._errors.float())
        if self._errors < self.fewest_errors:
            self.fewest_errors, self.best_epoch = int(self._errors), self.current_epoch
            self.best_state = {key: value.clone() for key, value in self.state_dict().items()}

    def configure_optimizers(self) -> Any:
        """Return Adam and its schedule; the decoder has no gradient and stays unchanged."""
        rates = self.settings.learning_rate, self.settings.weight_decay
        optimizer = torch.optim.Adam(self.parameters(), rates[0], weight_decay=rates[1], fused=True)
        if not self.settings.cosine:
            return optimizer
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.settings.epochs)
        return [optimizer], [schedule]


class LabelledBatches:
    """Batches of scaled samples and class indices, created on the device of the training.

    Without `settings`, for evaluation, batches are large and samples keep their order. With
    `settings`, for training, each pass over the samples is shuffled, and passes are repeated until
    an iteration has `least_steps` batches. Batch sizes differ by at most one, so that no batch is
    too small for batch normalisation.
    """

    def __init__(
        self,
        samples: LabelledSamples,
        scaling: Scaling,
        device: torch.device,
        settings: FineTuning | None = None,
    ) -> None:
        device = batch_device(device)
        residency, _ = choose_residency(samples.x.nbytes, device)
        self.rows = Rows(samples.x, residency, device, Scaled(scaling, device))
        self.y = torch.from_numpy(samples.y).to(device)
        self.generator = torch.Generator().manual_seed(settings.seed) if settings else None
        size = settings.batch_size if settings else batch_size(samples.x)
        self.steps = -(-len(samples) // size)
        self.passes = -(-settings.least_steps // self.steps) if settings else 1

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.steps * self.passes

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches: (n, *S) float32 and (n,) int64."""
        order = torch.arange(len(self.y))
        sizes = [len(batch) for batch in order.tensor_split(self.steps)]
        slices = list(starmap(slice, pairwise(accumulate(sizes, initial=0))))
        for _ in range(self.passes):
            if self.generator:
                order = torch.randperm(len(self.y), generator=self.generator)
            classes = self.y.index_select(0, order.to(self.y.device))
            for batch, x in zip(slices, self.rows.batches(order, slices), strict=True):
                yield x, classes[batch]


def count_errors(classifier: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the number of misclassified samples, a scalar: samples (N, *S), classes `y` (N,)."""
    return (classifier(x).argmax(1) != y).sum()


def error_share(classifier: SoftmaxClassifier, batches: LabelledBatches) -> float:
    """Return the share of misclassified samples, in [0, 1]."""
    device = classifier.head.weight.device
    with torch.inference_mode():
        counts = [count_errors(classifier, x.to(device), y.to(device)) for x, y in batches]
    return float(torch.stack(counts).sum()) / len(batches.y)
