"""Lightning as people write it: torchvision's data set, a transform an image, a DataLoader."""

import logging
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from benchmarks.bare import reconstruction, synchronise
from benchmarks.cases import Case
from benchmarks.networks import build
from benchmarks.worker import Done
from hourglass.core.paths import prepared_folder, raw_folder
from hourglass.data.prepared import Prepared, Split

Batch = tuple[Tensor, Tensor]


class Plain(pl.LightningModule):
    """An autoencoder as in Lightning's own introduction."""

    def __init__(self, network: torch.nn.Module, learning_rate: float) -> None:
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of one batch of images and labels, and log it."""
        x, _ = batch
        loss = functional.mse_loss(self.network(x), x)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Log the error of one batch of images and labels."""
        x, _ = batch
        self.log("validation_error", functional.mse_loss(self.network(x), x))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


def train(case: Case, workers: int) -> Done:
    """Train on the very images of the prepared splits, read by torchvision."""
    prepared = Prepared.open(prepared_folder(case.data))
    module = Plain(build(case, prepared.sample_shape), case.learning_rate)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        images, validation = (
            loader(case, prepared, name, workers) for name in ("train", "validation")
        )
        trainer(case, folder, max_epochs=case.epochs).fit(module, images, validation)
        synchronise(case)
        seconds = time.perf_counter() - start
    samples = case.epochs * len(prepared.split("train").x)
    return Done(seconds, samples, reconstruction(case, module.network.to(case.device)))


def loader(case: Case, prepared: Prepared, split: Split, workers: int) -> DataLoader[Batch]:
    """Return the loader of a split: ids such as "mnist/train/17" say which images it holds."""
    rows = [int(name.rpartition("/")[2]) for name in prepared.split(split).id]
    images = MNIST(raw_folder(), train=True, transform=ToTensor())
    return DataLoader(
        Subset(images, rows),
        case.batch_size,
        shuffle=split == "train",
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=case.device == "cuda",
    )


def trainer(case: Case, folder: str | Path, **options: int) -> pl.Trainer:
    """Return a Trainer with its defaults, but for what it prints and its logger's files."""
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.manual_seed(0)
    np.random.seed(0)
    return pl.Trainer(
        accelerator="gpu" if case.device == "cuda" else "cpu",
        devices=1,
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,  # type: ignore[arg-type]
    )
