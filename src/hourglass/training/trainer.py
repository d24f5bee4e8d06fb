"""The training of one cell: module and Trainer from settings, resumable after a crash."""

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.model_helpers import is_overridden

from hourglass.core.errors import UserError, one_line
from hourglass.core.settings import EXTRA_TRAINER_KEYS, Acceleration
from hourglass.core.yaml_config import construct, import_class
from hourglass.data.datamodule import CodesDataModule, DataModule
from hourglass.models.base import LitAutoencoder
from hourglass.models.epoch_means import EpochMeans
from hourglass.training.callbacks import EpochListener, History, SeedEpochs, StopOnPlateau
from hourglass.training.cell_settings import CellSettings
from hourglass.training.checkpoints import BestAndLastCheckpoint, is_complete, last_epoch
from hourglass.training.cpu_tuning import tune_cpu
from hourglass.training.fast_loop import FastEpochLoop
from hourglass.training.features import training_data
from hourglass.training.trainer_file import PLUGINS, build_plugins

LAST_CHECKPOINT = "last.ckpt"  # in the checkpoint folder of a training
DIVERGENCE_FACTOR = 1000  # validation error of a diverged training over the untrained network's
# Lightning's messages about defaults that are intended here, as regular expressions.
IGNORED_WARNINGS = (
    ".*isinstance\\(treespec, LeafSpec\\).*",
    ".*does not have many workers.*",
    ".*num_workers.*",
    ".*module\\(s\\) in eval mode.*",  # a frozen backbone
    ".*exists and is not empty",
    ".*no `validation_step`.*",
)
# Lightning's errors for values that it rejects, and for packages that are not installed.
TRAINER_ERRORS = (MisconfigurationException, ValueError, TypeError, ImportError)
CONVERTING_PRECISIONS = ("16-true", "bf16-true", "64-true")  # of the weights
Heads: TypeAlias = list[dict[str, Any]] | None
CallbackType = TypeVar("CallbackType", bound=pl.Callback)


def make_module(settings: CellSettings, heads: Heads = None) -> LitAutoencoder:
    """Return the cell's variant with weights drawn from the seed.

    `heads` are the columns of a table, see `Network.add_heads`; None for images. Raises a UserError
    if the variant rejects the settings or the data set.
    """
    source = f"configs/model/{settings.model}.yaml on {settings.data}"
    variant = import_class(settings.class_path, LitAutoencoder, source)
    return build_module(variant, settings, source, heads)


def build_module(
    variant: type[LitAutoencoder], settings: CellSettings, source: str, heads: Heads = None
) -> LitAutoencoder:
    """Return a variant with weights drawn from the seed; error messages begin with `source`."""
    pl.seed_everything(settings.seed, verbose=False)
    module: LitAutoencoder = construct(variant, settings.init_args, source)
    if heads:
        module.add_heads(heads)
    return module


def make_trainer(
    settings: CellSettings,
    folder: Path | None,
    on_epoch: EpochListener | None,
    phase: str = "",
    trial_callbacks: Sequence[pl.Callback] | None = None,
) -> tuple[pl.Trainer, History]:
    """Return a Trainer that writes checkpoints to `folder`, and its History.

    A pre-training `phase` writes to the subfolder of its name. If `trial_callbacks` are given, the
    Trainer is for a trial of a study: it is not resumable and writes nothing, not even to the
    loggers of the trainer file. It shows no progress, as does a Trainer without `folder`.
    """
    is_trial = trial_callbacks is not None
    show = folder is not None and not is_trial
    history = History(f"{settings.data}-{settings.model}", on_epoch, phase, show)
    checkpoint = None if is_trial or folder is None else folder / phase / LAST_CHECKPOINT
    options: dict[str, Any] = {"acceleration": "auto", "num_sanity_val_steps": 1}
    options |= settings.trainer
    loggers, callbacks = (build_plugins(options.pop(key, None), key) for key in PLUGINS)
    trainer = bare_trainer(
        **options,
        max_epochs=settings.training.max_epochs,
        callbacks=[
            SeedEpochs(settings.seed),
            EpochMeans(),
            StopOnPlateau(settings.training.patience),
            *callbacks,
            history,
            BestAndLastCheckpoint(checkpoint),
            *(trial_callbacks or ()),
        ],
        logger=loggers if loggers and not is_trial else False,
        default_root_dir=folder and folder / phase,
    )
    return trainer, history


def bare_trainer(
    acceleration: Acceleration = "none", fast_loop: bool = True, **options: Any
) -> pl.Trainer:
    """Return a deterministic Trainer without Lightning's output, loggers and samplers.

    `options` are arguments of Lightning's Trainer; other keys are ignored. For `fast_loop` and
    `acceleration`, see `FastEpochLoop` and `make_step`. Raises a UserError for values that
    Lightning rejects.
    """
    for name in ("pytorch_lightning", "lightning_fabric"):
        # A profiler logs its report as information.
        level = logging.INFO if options.get("profiler") else logging.WARNING
        logging.getLogger(name).setLevel(level)
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message)
    defaults: dict[str, Any] = {
        "num_sanity_val_steps": 0,
        "deterministic": True,
        "use_distributed_sampler": False,
        "logger": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
    }
    options = {key: value for key, value in options.items() if key not in EXTRA_TRAINER_KEYS}
    try:
        if options.get("strategy") == "ddp":
            # Gradients are reduced without a copy. Those of a small network use one bucket, whereas
            # torch by default sends the first megabyte separately.
            options["strategy"] = DDPStrategy(gradient_as_bucket_view=True, bucket_cap_mb=25)
        trainer = pl.Trainer(**(defaults | options))
    except TRAINER_ERRORS as error:
        raise UserError(
            f"Lightning's Trainer cannot be created ({one_line(error)}); name another `trainer` "
            "in params.yaml or change its file in configs/trainer."
        ) from None
    if trainer.world_size > 1:
        _weight_batch_shares(trainer)
    if fast_loop:
        trainer.fit_loop.epoch_loop = FastEpochLoop(trainer, acceleration)
    return trainer


def _weight_batch_shares(trainer: pl.Trainer) -> None:
    """Weight the loss of each process by its share of the batch.

    DDP averages gradients over processes; with these weights, the result is the mean over the
    samples of the batch. An empty share has weight 0; it occurs if the last batch is smaller than
    the number of processes.
    """
    unweighted_step = trainer.strategy.training_step

    def weighted_step(batch: Any, *args: Any) -> Any:
        shares = getattr(trainer.train_dataloader, "shares", None)
        if shares is None:
            return unweighted_step(batch, *args)
        weight = shares.weight(trainer.fit_loop.epoch_loop.batch_progress.current.completed)
        if not len(batch):  # all processes must take part in DDP's reduction
            batch = batch.new_zeros(1, *batch.shape[1:])
        output = unweighted_step(batch, *args)
        if isinstance(output, Mapping):
            return {**output, "loss": output["loss"] * weight}
        return None if output is None else output * weight

    trainer.strategy.training_step = weighted_step  # type: ignore[method-assign]


def pretrain(
    settings: CellSettings,
    folder: Path | None,
    on_epoch: EpochListener | None,
    module: pl.LightningModule,
    data: DataModule,
) -> tuple[list[dict[str, Any]], int]:
    """Train the module's pre-training phases; phases completed before a crash are not repeated.

    Returns the rows of their histories, and the number of new epochs.
    """
    rows, new_epochs = [], 0
    data = training_data(getattr(module, "network", None), data)
    for phase in module.phases() if isinstance(module, LitAutoencoder) else ():
        training = replace(settings.training, max_epochs=phase.max_epochs)
        phase_settings = replace(settings, training=training)
        trainer, history = make_trainer(phase_settings, folder, on_epoch, phase.name)
        new_epochs += fit_resumable(
            trainer, history, phase.module, CodesDataModule(data, phase.lower_layers)
        )
        rows += history.rows
    return rows, new_epochs


def fit_resumable(
    trainer: pl.Trainer, history: History, module: pl.LightningModule, data: DataModule
) -> int:
    """Train to the end, from the last checkpoint if there is one; return the number of new epochs.

    `module` is any LightningModule with `encode`, `decode` and `score`. It receives the weights of
    the best epoch, in float32. Raises a UserError if Lightning rejects the settings for this data,
    if no epoch was completed, or if the training diverged.
    """
    best, means = _callback(trainer, BestAndLastCheckpoint), _callback(trainer, EpochMeans)
    data = training_data(getattr(module, "network", None), data)
    checkpoint = last_epoch(best.path) if best.path else None
    if checkpoint:
        for callback in (history, best, means):
            callback.load_state_dict(checkpoint["callbacks"][callback.state_key])
        history.report_again()
    old_epochs = len(history.rows)
    if not is_overridden("validation_step", module):
        # Lightning requires the method; EpochMeans computes the error from `score`.
        module.validation_step = _no_step  # type: ignore[method-assign]
    if not (checkpoint and is_complete(checkpoint, trainer.max_epochs or 0)):
        elements = data.batch_size * math.prod(data.sample_shape)
        with tune_cpu(trainer.strategy.root_device, elements):
            path = best.path if checkpoint else None
            try:
                trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
            except MisconfigurationException as error:
                raise UserError(
                    f"{history.name}: Lightning rejects the training ({one_line(error)}); change "
                    "the trainer's file or the variant's class."
                ) from None
    if not history.rows:
        raise UserError(
            f"{history.name}: the training ended before its first epoch was complete; check "
            "max_time and the callbacks in the trainer's file."
        )
    if best.best_error > DIVERGENCE_FACTOR * means.untrained_error:
        raise UserError(
            f"{history.name}: the training diverged, as its lowest validation error is "
            f"{best.best_error:.3g} and that of the untrained network {means.untrained_error:.3g}; "
            f"lower learning_rate (now {history.initial_learning_rate(module)})."
        )
    module.load_state_dict(best.weights)
    restore_float32(trainer, module)
    return len(history.rows) - old_epochs


def finish(module: pl.LightningModule, data: DataModule) -> None:
    """Let a trained variant fit the parts that gradient steps do not train."""
    if isinstance(module, LitAutoencoder):
        module.after_training(data.train_dataloader(), data.val_dataloader())


def restore_float32(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Convert the weights to float32, as inference expects, from another precision."""
    if trainer.precision in CONVERTING_PRECISIONS:
        module.float()


def _no_step(batch: Any) -> None:
    """Do nothing, in place of a missing validation step."""


def _callback(trainer: pl.Trainer, kind: type[CallbackType]) -> CallbackType:
    """Return the Trainer's callback of a type."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next(callback for callback in callbacks if isinstance(callback, kind))
