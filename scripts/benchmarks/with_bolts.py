"""lightning-bolts: its own autoencoder, a ResNet-18, on its own MNISTDataModule."""

import math
import tempfile
import time
from typing import Any

import pytorch_lightning as pl
import torch
from torchvision.transforms import Compose, Lambda, Pad, ToTensor

from benchmarks.bare import reconstruction
from benchmarks.cases import Case
from benchmarks.networks import build
from benchmarks.with_lightning import trainer
from benchmarks.worker import Done
from hourglass.core.paths import prepared_folder, raw_folder
from hourglass.data.prepared import Prepared
from hourglass.networks.bolts import Bolts, bolts, quiet

SIDE = 32  # its networks want three channels and a side that 8 divides


def train(case: Case) -> Done:
    """Train on as many images as the prepared splits hold, in as many batches."""
    prepared = Prepared.open(prepared_folder(case.data))
    rows, validation = (len(prepared.split(name).x) for name in ("train", "validation"))
    torch.manual_seed(0)
    with quiet(), tempfile.TemporaryDirectory() as folder:
        model = bolts("models.autoencoders").AE(SIDE, latent_dim=256, lr=case.learning_rate)
        start = time.perf_counter()
        limits = {
            "max_epochs": case.epochs,
            "limit_train_batches": math.ceil(rows / case.batch_size),
            "limit_val_batches": math.ceil(validation / case.batch_size),
            "num_sanity_val_steps": 0,
        }
        trainer(case, folder, **limits).fit(model, datamodule=_data(case))
        seconds = time.perf_counter() - start
    return Done(seconds, case.epochs * rows, reconstruction(case, _as_ours(case, prepared, model)))


def _data(case: Case) -> pl.LightningDataModule:
    """Return bolts' MNISTDataModule; its own transform would give one channel of 28 x 28."""
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
    """Return the trained model as a network of ours, which pads and crops as the data is here."""
    network = build(case, prepared.sample_shape)
    assert isinstance(network, Bolts)
    network.encoder, network.decoder, network.mean = model.encoder, model.decoder, model.fc
    return network
