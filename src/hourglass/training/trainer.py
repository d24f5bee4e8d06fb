"""The training of one cell: module and Trainer from settings, epochs that survive a kill."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from hourglass.core.errors import UserError, one_line
from hourglass.core.settings import EXTRA_TRAINER_KEYS, Acceleration
from hourglass.core.yaml_config import construct, import_class
from hourglass.data.datamodule import Codes, DataModule
from hourglass.models.base import LitAutoencoder
from hourglass.training.callbacks import EpochListener, History, NoProfiler, Progress, StopOnPlateau
from hourglass.training.cell_settings import CellSettings
from hourglass.training.checkpoints import BestAndLastCheckpoint
from hourglass.training.cpu_tuning import tuned_to
from hourglass.training.fast_loop import FastEpochLoop
from hourglass.training.resume import complete, last_epoch

LAST = "last.ckpt"  # the last epoch that was kept, in the folder of a training


def make_module(settings: CellSettings) -> LitAutoencoder:
    """Return the cell's variant, its weights drawn from the seed.

    Raises a UserError where the variant does not take the settings or the data set.
    """
    pl.seed_everything(settings.seed, verbose=False)
    where = f"configs/model/{settings.model}.yaml on {settings.data}"
    kind = import_class(settings.class_path, LitAutoencoder, where)
    return construct(kind, settings.init_args, where)


def make_trainer(
    settings: CellSettings,
    folder: Path,
    on_epoch: EpochListener | None,
    phase: str = "",
    watching: Sequence[pl.Callback] | None = None,
) -> tuple[pl.Trainer, History]:
    """Return a Trainer that keeps its epochs in `folder`, and its History.

    A `phase` that comes before the training of the whole has a folder and a name of its own. One
    that others are `watching`, a trial, is not gone on with after a kill: it writes nothing.
    """
    history = History(f"{settings.data}-{settings.model}", on_epoch, phase)
    stopping = StopOnPlateau(settings.training.patience)
    kept = BestAndLastCheckpoint(folder / phase / LAST if watching is None else None)
    options: dict[str, Any] = {"acceleration": "auto"} | settings.trainer
    trainer = bare_trainer(
        **options,
        max_epochs=settings.training.max_epochs,
        callbacks=[stopping, Progress(history.name), history, kept, *(watching or ())],
        default_root_dir=folder / phase,
    )
    return trainer, history


def bare_trainer(acceleration: Acceleration = "none", **options: Any) -> pl.Trainer:
    """Return a deterministic Trainer that says nothing and samples nothing by itself.

    Its steps are bare ones too, see `FastEpochLoop`, and may be accelerated, see `make_step`.

    Raises a UserError where Lightning cannot make it of the `options`, which go first; those that are
    not Lightning's are left out.
    """
    _quieten()
    own: dict[str, Any] = {
        "num_sanity_val_steps": 0,
        "deterministic": True,
        "use_distributed_sampler": False,
        "profiler": NoProfiler(),
        "logger": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
    }
    try:
        known = {key: value for key, value in options.items() if key not in EXTRA_TRAINER_KEYS}
        if known.get("strategy") == "ddp":
            # Gradients are added up where they stand: no copy of them, in time or in memory; and
            # those of small networks at once: unless told, torch sends the first megabyte ahead.
            known["strategy"] = DDPStrategy(gradient_as_bucket_view=True, bucket_cap_mb=25)
        trainer = pl.Trainer(**(own | known))
    except (MisconfigurationException, ValueError) as error:
        raise UserError(
            f"Lightning's Trainer cannot be made here ({one_line(error)}); name another `trainer` "
            "in params.yaml or change its file in configs/trainer."
        ) from None
    trainer.fit_loop.epoch_loop = FastEpochLoop(trainer, acceleration)
    return trainer


def pretrain(
    settings: CellSettings,
    folder: Path,
    on_epoch: EpochListener | None,
    module: LitAutoencoder,
    data: DataModule,
) -> tuple[list[dict[str, Any]], int]:
    """Train the module's phases, those that were done before a kill left out.

    Returns the rows of their histories, and how many epochs are new.
    """
    rows, new_epochs = [], 0
    for phase in module.phases():
        training = replace(settings.training, max_epochs=phase.max_epochs)
        own = replace(settings, training=training)
        trainer, history = make_trainer(own, folder, on_epoch, phase.name)
        new_epochs += fit_resumable(trainer, history, phase.module, Codes(data, phase.below))
        rows += history.rows
    return rows, new_epochs


def fit_resumable(
    trainer: pl.Trainer, history: History, module: LitAutoencoder, data: DataModule
) -> int:
    """Train from the last epoch that was kept, if any, until the end; return the new epochs.

    The module then has the weights of the best epoch.
    """
    (kept,) = (each for each in trainer.callbacks if isinstance(each, BestAndLastCheckpoint))  # type: ignore[attr-defined]
    known, checkpoint = 0, last_epoch(kept.path) if kept.path else None
    if checkpoint:
        history.load_state_dict(checkpoint["callbacks"][history.state_key])
        kept.load_state_dict(checkpoint["callbacks"][kept.state_key])
        history.tell_again()
        known = len(history.rows)
    if not (checkpoint and complete(checkpoint, trainer.max_epochs or 0)):
        elements = data.batch_size * math.prod(data.sample_shape)
        with tuned_to(trainer.strategy.root_device, elements):
            path = kept.path if known else None
            trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
    module.load_state_dict(kept.weights)
    return len(history.rows) - known


def _quieten() -> None:
    """Keep Lightning's banners and its advice about loaders we do not use from the user."""
    import logging

    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*isinstance\\(treespec, LeafSpec\\).*",
        ".*does not have many workers.*",
        ".*num_workers.*",
        ".*exists and is not empty",
    ):
        warnings.filterwarnings("ignore", message)
