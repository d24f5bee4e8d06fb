"""Training of a variant on samples in memory, without a workspace, files and lasting side effects.

Stage `train` uses the same functions, so equal settings and samples give the same weights.
"""

import logging
import os
import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from hourglass.data.datamodule import DataModule
from hourglass.data.prepared_data import Prepared
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Network
from hourglass.training.callbacks import EpochListener
from hourglass.training.cell_settings import CellSettings
from hourglass.training.trainer import build_module, finish, fit_resumable, make_trainer, pretrain

# Set by Lightning in every training.
ENVIRONMENT = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "CUBLAS_WORKSPACE_CONFIG")
LOGGERS = ("pytorch_lightning", "lightning_fabric")
_one_training = threading.Lock()


def train_in_memory(
    variant: type[LitAutoencoder],
    settings: CellSettings,
    prepared: Prepared,
    on_epoch: EpochListener | None = None,
) -> tuple[Network, list[dict[str, Any]]]:
    """Train a variant on the splits `train` and `validation`.

    Returns the network of the best epoch, in evaluation mode, and the rows of the history, those of
    pre-training phases first. `on_epoch` is called with each row. Raises a UserError if the variant
    rejects the settings, or if the training diverges.
    """
    with preserved_globals():
        module = build_module(variant, settings, settings.model, prepared.heads)
        trainer, history = make_trainer(settings, None, on_epoch)
        data = InMemoryDataModule(prepared, settings)
        rows, _ = pretrain(settings, None, on_epoch, module, data)
        fit_resumable(trainer, history, module, data)
        finish(module, data)
    return module.network.eval().requires_grad_(False), rows + history.rows


class InMemoryDataModule(DataModule):
    """A data module of samples that are already in memory."""

    def __init__(self, prepared: Prepared, settings: CellSettings) -> None:
        batch_size = settings.training.batch_size
        super().__init__(settings.data, batch_size, settings.seed, settings.residency)
        self._prepared = prepared

    def prepare_data(self) -> None:
        """Prepare nothing."""

    @property
    def prepared(self) -> Prepared:
        """Return the samples and their scaling."""
        return self._prepared


@contextmanager
def preserved_globals() -> Iterator[None]:
    """Restore the global state that a training changes, and allow one training at a time.

    The state consists of random generators, which threads share, warning filters, log levels,
    torch's deterministic mode and environment variables. Lightning ends the process at an
    interrupt; here it raises KeyboardInterrupt, so that a notebook keeps its state.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    gpus = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with _one_training, warnings.catch_warnings(), torch.random.fork_rng(gpus):
        levels = [logger.level for logger in loggers]
        environment = {name: os.environ.get(name) for name in ENVIRONMENT}
        python, numpy = random.getstate(), np.random.get_state()
        deterministic = torch.are_deterministic_algorithms_enabled()
        try:
            yield
        except SystemExit as stop:
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
        finally:
            torch.use_deterministic_algorithms(deterministic)
            random.setstate(python)
            np.random.set_state(numpy)
            for name, value in environment.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
