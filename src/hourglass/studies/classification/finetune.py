"""Fine-tune an encoder and a softmax layer on it: what pre-training is for."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise, starmap

import torch
from torch import Tensor

from hourglass.data.batches import Scaled
from hourglass.data.residency import Rows, batch_device, choose_residency
from hourglass.data.scaling import Scaling
from hourglass.detection.inference import batch_size, best_device
from hourglass.networks import Network
from hourglass.studies.classification.labelled_subsets import Labelled, Parts
from hourglass.studies.classification.softmax import Classifier, FineTuning, wrong
from hourglass.training.callbacks import StopOnPlateau
from hourglass.training.cpu_tuning import tuned_to
from hourglass.training.trainer import bare_trainer


@dataclass(frozen=True)
class FineTuned:
    """Hold a fine-tuned classifier, its errors (shares of 1), and its best epoch, from 0."""

    classifier: Classifier
    validation_error: float
    test_error: float
    epoch: int


def finetune(
    network: Network, scaling: Scaling, parts: Parts, settings: FineTuning = FineTuning()
) -> FineTuned:
    """Train a softmax layer on the code together with the encoder, from its weights as they are.

    The classifier has the weights of the epoch with the fewest errors on `parts.validation`; the
    `network` itself stays as it is. Samples are unscaled. The same arguments give the same bytes.

    Raises a UserError where the loss is not finite.
    """
    device = best_device()
    classifier = Classifier(network, int(parts.train.y.max()) + 1, settings)
    batches = Batches(parts.train, scaling, device, settings)
    validation, test = (Batches(each, scaling, device) for each in (parts.validation, parts.test))
    trainer = bare_trainer(
        accelerator=device.type,
        devices=1,
        max_epochs=settings.epochs,
        callbacks=[StopOnPlateau(settings.patience)],
        enable_checkpointing=False,  # the weights of the best epoch stay in memory
    )
    with tuned_to(device, settings.batch_size * parts.train.x[0].size):
        trainer.fit(classifier, batches, validation)
    if classifier.best:
        classifier.load_state_dict(classifier.best)
    classifier.to(device).eval()
    errors = error(classifier, validation), error(classifier, test)
    return FineTuned(classifier, *errors, epoch=classifier.best_epoch)


class Batches:
    """Iterate over samples in scaled batches with their classes, made on the samples' device.

    Without `settings` in order and in large batches. Else shuffled anew each time, in batches of
    equal size (but for one sample), so that none is too small to normalise; as often through all
    samples as `settings.least_steps` asks for.
    """

    def __init__(
        self,
        samples: Labelled,
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
        places = list(starmap(slice, pairwise(accumulate(sizes, initial=0))))
        for _ in range(self.passes):
            if self.generator:
                order = torch.randperm(len(self.y), generator=self.generator)
            classes = self.y.index_select(0, order.to(self.y.device))
            for place, x in zip(places, self.rows.batches(order, places), strict=True):
                yield x, classes[place]


def error(classifier: Classifier, batches: Batches) -> float:
    """Return the share of samples that a classifier puts in a wrong class."""
    device = classifier.head.weight.device
    with torch.inference_mode():
        counts = [wrong(classifier, x.to(device), y.to(device)) for x, y in batches]
    return float(torch.stack(counts).sum()) / len(batches.y)
