"""Lightning in its usual form: torchvision's data set, a transform per image, a DataLoader.

Also lightning-bolts: its ResNet-18 autoencoder on its MNISTDataModule.
"""

import logging
import math
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import Compose, Lambda, Pad, ToTensor

from benchmarks.bare import reconstruction, synchronise
from benchmarks.cases import Case
from benchmarks.networks import build
from benchmarks.worker import Done
from hourglass.core.paths import prepared_folder, raw_folder
from hourglass.data.prepared_data import Prepared, Split
from hourglass.networks.bolts import Bolts, bolts, quiet

BOLTS_SIDE = 32  # its networks need three channels and a side divisible by 8
Batch = tuple[Tensor, Tensor]


class Plain(pl.LightningModule):
    """An autoencoder as in Lightning's introduction."""

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
    """Train on the images of the prepared splits, read by torchvision."""
    prepared = Prepared.open(prepared_folder(case.data))
    module = Plain(build(case, prepared.input_shape), case.learning_rate)
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
    """Return the loader of a split; ids such as "mnist/train/17" name its images."""
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
    """Return a default Trainer without output and log files."""
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


def train_bolts(case: Case) -> Done:
    """Train on as many images and batches as the prepared splits have."""
    prepared = Prepared.open(prepared_folder(case.data))
    rows, validation = (len(prepared.split(name).x) for name in ("train", "validation"))
    torch.manual_seed(0)
    with quiet(), tempfile.TemporaryDirectory() as folder:
        model = bolts("models.autoencoders").AE(BOLTS_SIDE, latent_dim=256, lr=case.learning_rate)
        start = time.perf_counter()
        limits = {
            "max_epochs": case.epochs,
            "limit_train_batches": math.ceil(rows / case.batch_size),
            "limit_val_batches": math.ceil(validation / case.batch_size),
            "num_sanity_val_steps": 0,
        }
        trainer(case, folder, **limits).fit(model, datamodule=_bolts_data(case))
        seconds = time.perf_counter() - start
    return Done(seconds, case.epochs * rows, reconstruction(case, _as_ours(case, prepared, model)))


def _bolts_data(case: Case) -> pl.LightningDataModule:
    """Return the MNISTDataModule, with a transform to three channels of 32 x 32."""
    shaped = Compose([ToTensor(), Pad(2), Lambda(lambda x: x.expand(3, -1, -1))])
    data: pl.LightningDataModule = bolts("datamodules").MNISTDataModule(
        str(raw_folder()),
        batch_size=case.batch_size,
        pin_memory=False,
        train_transforms=shaped,
        val_transforms=shaped,
    )
    return data


def _as_ours(case: Case, prepared: Prepared, model: Any) -> Bolts:
    """Return the trained model as a Hourglass network, which pads and crops."""
    network = build(case, prepared.input_shape)
    assert isinstance(network, Bolts)
    network.encoder, network.decoder, network.mean = model.encoder, model.decoder, model.fc
    return network
