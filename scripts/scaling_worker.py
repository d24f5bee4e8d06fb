"""Train one network in several processes and print the times of a step as one line of JSON.

Started by scripts/scaling.py; Lightning starts the other processes by the same command.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import distributed

from hourglass.data.datamodule import DataModule
from hourglass.models.base import LitAutoencoder
from hourglass.models.convolutional import Convolutional
from hourglass.models.undercomplete import Undercomplete
from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.trainer import fit_resumable, make_trainer

DATA, SAMPLE_SHAPE = "mnist", (1, 28, 28)
EPOCHS = 4  # the first warms up
ALL_REDUCE_ROUNDS = 50
BUILD = {
    "dense": lambda: Undercomplete(SAMPLE_SHAPE, 32, [256], schedule="constant"),
    "convolutional": lambda: Convolutional(SAMPLE_SHAPE, 32, (16, 32), schedule="constant"),
}


class Clock(pl.Callback):
    """Time each epoch from its first step to its validation, and an all-reduce at the end."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self.all_reduce = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock in all processes at once."""
        trainer.strategy.barrier()
        self.start = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock when the device is done."""
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self.epochs.append(time.perf_counter() - self.start)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time an all-reduce of as many numbers as the network has gradients."""
        if trainer.world_size > 1:
            buffer = torch.zeros(_parameters(pl_module), device=pl_module.device)
            self.all_reduce = statistics.median(_timed(buffer) for _ in range(ALL_REDUCE_ROUNDS))


def main() -> None:
    """Train by the specification in the first argument."""
    spec = json.loads(sys.argv[1])
    batch_size, devices = spec["batch_size"], spec["processes"]
    steps = max(1, spec["samples"] // batch_size)
    options: dict[str, Any] = {
        "accelerator": spec["accelerator"],
        "devices": devices,
        "strategy": "ddp" if devices > 1 else "auto",
        "limit_train_batches": steps,
        "limit_val_batches": 1,
        "num_sanity_val_steps": 0,  # `Clock` times validations
    }
    training = Training(batch_size, EPOCHS, EPOCHS)
    settings = CellSettings(DATA, spec["network"], "", {}, training, options, 0)
    pl.seed_everything(0, verbose=False)
    module: LitAutoencoder = BUILD[spec["network"]]()
    clock = Clock()
    folder = Path(spec["folder"])  # shared by all processes
    trainer, history = make_trainer(settings, folder, None, trial_callbacks=[clock])
    fit_resumable(trainer, history, module, DataModule(DATA, batch_size))
    if trainer.is_global_zero:
        seconds = statistics.median(clock.epochs[1:]) / steps
        size = 4 * _parameters(module)
        times = {"step": seconds, "all_reduce": clock.all_reduce, "bytes": size}
        print(json.dumps(spec | times))


def _parameters(module: pl.LightningModule) -> int:
    return sum(each.numel() for each in module.parameters())


def _timed(buffer: torch.Tensor) -> float:
    start = time.perf_counter()
    distributed.all_reduce(buffer)
    if buffer.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
